"""Claims about the answer heads, on images whose patches are drawn from known classes."""

import numpy as np
import pytest
import torch

from knowlip.bench.heads import CountHead, LandformHead, count_loss, fit_predict, landform_loss

CLASSES, PATCHES = 3, 16


def landforms(n, seed, patches=PATCHES):
    """Images of patches `(n, P, 5)`, each patch a noisy sign of its class, with dominant and present classes."""
    rng = np.random.default_rng(seed)
    share = rng.dirichlet(np.full(CLASSES, 0.5), n)
    of_patch = np.array([rng.choice(CLASSES, patches, p=s) for s in share])
    x = (np.eye(CLASSES, 5)[of_patch] * 3 + rng.normal(0, 0.5, (n, patches, 5))).astype(np.float32)
    found = np.stack([(of_patch == k).mean(1) for k in range(CLASSES)], 1)
    main = np.eye(CLASSES, dtype=np.float32)[found.argmax(1)]
    return x, np.stack([main, (found > 0.1).astype(np.float32)], 1)


def fit_landforms(x, answers, asked):
    return fit_predict(lambda f: LandformHead(f, CLASSES), landform_loss, x, answers, asked)


def test_landforms_are_learned_from_answers_about_whole_images():
    x, answers = landforms(200, 0)
    asked, truth = landforms(200, 1)
    logits = fit_landforms(x, answers, asked)
    assert (logits[:, 0].argmax(1) == truth[:, 0].argmax(1)).mean() > 0.9
    assert ((logits[:, 1] > 0) == (truth[:, 1] > 0)).all(1).mean() > 0.8


def test_single_patches_are_classified_though_none_was_ever_labelled():
    x, answers = landforms(200, 0)
    patches, truth = landforms(300, 2, patches=1)
    logits = fit_landforms(x, answers, patches)
    assert (logits[:, 0].argmax(1) == truth[:, 0].argmax(1)).mean() > 0.95


def test_counts_add_up_beyond_what_was_seen_in_one_image():
    def images(most, seed):
        rng = np.random.default_rng(seed)
        number = rng.integers(0, most + 1, 200)
        there = rng.permuted(np.arange(2 * PATCHES)[None] < number[:, None], axis=1).astype(np.float32)
        return np.stack([there + rng.normal(0, 0.05, there.shape), np.ones_like(there)], 2).astype(np.float32), number

    x, number = images(5, 0)
    asked, truth = images(12, 1)
    expected = fit_predict(lambda f: CountHead(f, 2.5), count_loss, x, number.astype(np.float32), asked)
    assert np.abs(expected - truth)[truth > 5].mean() < 1


def test_an_answer_depends_neither_on_order_of_patches_nor_on_other_images():
    x, answers = landforms(60, 0)
    asked, _ = landforms(5, 1)
    together = fit_landforms(x, answers, asked)
    assert fit_landforms(x, answers, asked[:1, ::-1]) == pytest.approx(together[:1], abs=1e-4)


def test_features_that_never_change_while_learning_have_no_influence():
    x, answers = landforms(60, 0)
    asked, _ = landforms(5, 1)
    before = fit_landforms(x, answers, asked)
    wider = [
        np.concatenate([part, np.full((*part.shape[:2], 1), value, np.float32)], 2)
        for part, value in ((x, 0), (asked, 1e6))
    ]
    assert fit_landforms(wider[0], answers, wider[1]) == pytest.approx(before)


def test_heads_leave_the_random_state_of_others_alone():
    state = torch.get_rng_state()
    fit_landforms(*landforms(20, 0), landforms(2, 1)[0])
    assert torch.equal(state, torch.get_rng_state())
