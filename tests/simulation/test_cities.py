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
