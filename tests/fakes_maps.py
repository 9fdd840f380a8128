"""A fake town on OpenStreetMap: known shapes in metres, written as the project's users have them."""

import numpy as np
import osmium
import pyproj
import shapely

UTM = pyproj.Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True)
X0, Y0 = UTM.transform(12.5, 42.0, direction="INVERSE")


def at(shape):
    """A shape in metres east and north of 12.5 E, 42.0 N, in longitude and latitude."""
    return shapely.transform(shape, lambda xy: np.stack(UTM.transform(xy[:, 0] + X0, xy[:, 1] + Y0), axis=1))


# a tile of 2560 m is in the middle of this town; geometry in metres from its middle
TOWN = [
    (shapely.LineString([(-3000, 100), (3000, 400)]), {"highway": "motorway", "ref": "A1"}),
    (shapely.LineString([(0, -800), (700, -800), (700, 0)]), {"highway": "residential"}),
    (shapely.LineString([(-200, 0), (200, 0)]), {"highway": "motorway_link"}),
    (shapely.LineString([(-200, 50), (200, 50)]), {"highway": "footway"}),
    (shapely.LineString([(-1000, -1500), (-1000, 1500)]), {"waterway": "river", "name": "Tevere"}),
    (shapely.box(100, 100, 140, 130), {"building": "house"}),
    (shapely.box(200, 100, 240, 130), {"building": "yes"}),
    # over the eastern edge, middle outside
    (shapely.box(1270, 0, 1320, 100), {"building": "warehouse"}),
    (shapely.box(100, 200, 110, 210), {"building": "no"}),
    (shapely.box(-1280, 800, 0, 1280), {"landuse": "forest"}),
    (shapely.box(300, 600, 1200, 1200), {"landuse": "industrial"}),
    (shapely.box(-900, -900, -400, -400), {"natural": "water", "water": "lake"}),
    (shapely.LineString([(-2000, -1800), (1000, -1200)]), {"aeroway": "runway", "ref": "06/24"}),
    (shapely.Point(2500, 0), {"harbour": "yes", "name": "Porto"}),
    (shapely.Point(10, 10), {"amenity": "bench"}),
]


def write_pbf(path, features, reach_m=8000.0):
    """Writes features as OpenStreetMap data that says which box it covers."""
    west, south, east, north = at(shapely.box(-reach_m, -reach_m, reach_m, reach_m)).bounds
    header = osmium.io.Header()
    header.add_box(osmium.osm.Box(osmium.osm.Location(west, south), osmium.osm.Location(east, north)))
    nodes, ways, relations = [], [], []

    def way(points, said):
        closed = points[0] == points[-1]
        ids = []
        for lon, lat in points[:-1] if closed else points:
            nodes.append(osmium.osm.mutable.Node(id=len(nodes) + 1, location=(lon, lat)))
            ids.append(len(nodes))
        ways.append(osmium.osm.mutable.Way(id=len(ways) + 1, nodes=ids + ids[:1] if closed else ids, tags=said))
        return len(ways)

    for shape, said in features:
        placed = at(shape)
        if shape.geom_type == "Point":
            nodes.append(osmium.osm.mutable.Node(id=len(nodes) + 1, location=placed.coords[0], tags=said))
        elif shape.geom_type == "LineString":
            way(list(placed.coords), said)
        elif not placed.interiors:
            way(list(placed.exterior.coords), said)
        else:
            rings = [("outer", placed.exterior), *(("inner", r) for r in placed.interiors)]
            members = [("w", way(list(r.coords), {}), role) for role, r in rings]
            all_tags = said | {"type": "multipolygon"}
            relations.append(osmium.osm.mutable.Relation(id=len(relations) + 1, members=members, tags=all_tags))
    with osmium.SimpleWriter(str(path), header=header, overwrite=True) as writer:
        for item in [*nodes, *ways, *relations]:
            getattr(writer, f"add_{type(item).__name__.lower()}")(item)
    return path
