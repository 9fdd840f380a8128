import os
import signal

import pytest

from knowlip.core.errors import KnowlipError, SceneError
from knowlip.core.parallel import default_workers, map_items


def square(n):
    return n * n


def refuse_three(n):
    if n == 3:
        raise SceneError("three", "is odd", "Give another")
    return n


def die_at_three(n):
    if n == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return n


def test_results_keep_the_order_of_the_items_whatever_the_workers():
    items = list(range(20))
    truth = [n * n for n in items]
    assert list(map_items(square, items, 1)) == truth
    assert list(map_items(square, items, 2)) == truth


def test_one_process_gives_each_result_before_it_takes_the_next():
    taken = []
    results = map_items(lambda n: taken.append(n) or n, [1, 2, 3], 1)
    assert next(results) == 1
    assert taken == [1]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_comes_back_as_it_was_raised(workers):
    results = map_items(refuse_three, [1, 2, 3, 4], workers)
    with pytest.raises(SceneError, match=r"three: is odd\. Give another"):
        list(results)


def test_a_killed_worker_is_told_in_words():
    with pytest.raises(KnowlipError, match="usually for lack of memory"):
        list(map_items(die_at_three, [1, 2, 3, 4], 2))


def test_there_are_at_most_as_many_workers_as_processors():
    assert 1 <= default_workers() <= (os.cpu_count() or 1)
