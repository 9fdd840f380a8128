import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from knowlip.core.percentiles import percentiles

PERCENTS = st.lists(st.floats(0, 100), min_size=1, max_size=4)


@given(
    hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(-60, 30, width=32) | st.just(float("nan"))).filter(
        lambda v: not np.isnan(v).all()
    ),
    PERCENTS,
)
def test_few_values_have_numpys_percentiles(values, percents):
    assert percentiles(values, percents) == np.nanpercentile(values, percents).tolist()


@given(st.integers(0, 1000), st.integers(2000, 70_000), st.sampled_from([0.0, 0.5, 4.0]), PERCENTS)
def test_many_values_have_numpys_percentiles_ties_and_gaps_included(seed, size, step, percents):
    random = np.random.default_rng(seed)
    values = random.normal(-12, 4, size).astype(np.float32)
    if step:
        values = np.round(values / np.float32(step)) * np.float32(step)
    values[random.random(size) < random.random() * 0.5] = np.nan
    assert percentiles(values, percents) == np.nanpercentile(values, percents).tolist()


def test_an_order_that_the_sample_misses_is_no_trap():
    values = np.zeros(65536, np.float32)
    values[1::2] = np.arange(32768)
    assert percentiles(values, (5, 50, 95)) == np.percentile(values, [5, 50, 95]).tolist()
