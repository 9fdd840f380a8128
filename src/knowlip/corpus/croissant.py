"""`croissant.json`: the corpus described for machines. Source: MLCommons Croissant 1.0."""

from __future__ import annotations

from typing import Any

from knowlip.core.folder import Folder

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_FIELDS = {
    "id": "sc:Text",
    "datetime": "sc:Date",
    "platform": "sc:Text",
    "gsd": "sc:Float",
    "knowlip:country": "sc:Text",
    "knowlip:nearest_city": "sc:Text",
    "knowlip:split": "sc:Text",
    "knowlip:sha256": "sc:Text",
}


def croissant(folder: Folder, info: dict[str, Any]) -> dict[str, Any]:
    """Describe a corpus whose `tiles.parquet` is written."""
    digest = folder.sha256("tiles.parquet")
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": info["name"],
        "description": f"{info['counts']['tiles']} georeferenced SAR tiles of {info['counts']['scenes']} scenes, "
        f"made with {info['made_with']}.",
        "license": info["licence"],
        "url": "https://github.com/sar-knowlip/sar-knowlip",
        "version": "1.0.0",
        "datePublished": "2026-01-01",
        "citeAs": "see the lineage in corpus.json",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "tiles.parquet",
                "name": "tiles.parquet",
                "contentUrl": "tiles.parquet",
                "encodingFormat": "application/x-parquet",
                "sha256": digest,
            },
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "tiles",
                "name": "tiles",
                "key": {"@id": "tiles/id"},
                "field": [
                    {
                        "@type": "cr:Field",
                        "@id": f"tiles/{name.replace(':', '-')}",
                        "name": name.replace(":", "-"),
                        "dataType": kind,
                        "source": {"fileObject": {"@id": "tiles.parquet"}, "extract": {"column": name}},
                    }
                    for name, kind in _FIELDS.items()
                ],
            },
        ],
    }
