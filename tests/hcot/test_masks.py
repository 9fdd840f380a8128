import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from knowlip.hcot.masks import closed, dilated

MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=30))


@given(MASKS, st.integers(0, 12))
def test_a_mask_grows_as_the_largest_of_a_window_does(mask, by):
    before = mask.copy()
    expected = ndimage.maximum_filter(mask, 2 * by + 1, mode="constant")
    np.testing.assert_array_equal(dilated(mask, by), expected)
    np.testing.assert_array_equal(mask, before)


@given(MASKS, st.integers(0, 6))
def test_gaps_close_as_in_morphology(mask, by):
    wide = np.pad(mask, by)
    expected = ndimage.binary_closing(wide, np.ones((3, 3), bool), iterations=by) if by else wide
    np.testing.assert_array_equal(np.pad(closed(mask, by), by), expected & np.pad(np.ones_like(mask), by))
