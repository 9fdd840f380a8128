import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import generic_filter

from knowlip.model.bert import BertConfig
from knowlip.model.knowlip import KnowLIP, KnowLIPConfig
from knowlip.model.vit import ViTConfig
from knowlip.training.config import load_config
from knowlip.training.data import Batch
from knowlip.training.loop import _bank
from knowlip.training.objectives import OBJECTIVES, Bank, Moment
from knowlip.training.objectives.contrast import contrastive_loss, sigmoid_loss
from knowlip.training.objectives.gradients import ratio_gradient
from knowlip.training.objectives.knowlip import hard_negatives
from knowlip.training.objectives.masked import encode_seen, patches, sine_positions
from knowlip.training.objectives.moco import seen_from

VOCABULARY, MASK = 60, 4
SMALL = KnowLIPConfig(
    ViTConfig(
        image_size=64,
        patch_size=16,
        width=32,
        depth=2,
        heads=2,
        stem="sar",
        polarisations=("HH", "HV", "VH", "VV", "unknown"),
    ),
    BertConfig(VOCABULARY, width=32, depth=2, heads=2, max_length=16, cross_attention_from=1, image_width=32),
    projection=16,
)


def batch_of(n=4, size=64, seed=0):
    rng = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, VOCABULARY, (n, 12), generator=rng)
    ids[:, 0] = 2
    mask = torch.ones(n, 12, dtype=torch.bool)
    mask[0, 9:] = False
    slots = torch.tensor([-1, 0, 0, -1, 1, 1, 1, -1, 2, -1, -1, -1]).repeat(n, 1)
    channels = torch.tensor([[3, 2]] * n)
    channels[1, 1] = -1
    return Batch(torch.randn(n, 2, size, size, generator=rng), channels, ids, mask, slots)


def objective_of(name, *overrides):
    torch.manual_seed(0)
    config = load_config(None, [f"objective={name}", "loss.contrast_first=0", *overrides])
    return OBJECTIVES[name](KnowLIP(SMALL), config, MASK)


def moment(step=0, seed=0):
    return Moment(step, 10, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_learns_one_batch(name):
    objective, batch = objective_of(name), batch_of()
    optimizer = torch.optim.AdamW([p for p in objective.parameters() if p.requires_grad], 3e-3)
    told = []
    for step in range(12):
        losses = objective(batch, moment(step))
        assert tuple(losses) == objective.reported
        optimizer.zero_grad()
        losses["total"].backward()
        optimizer.step()
        objective.after_step(moment(step))
        told.append(float(losses["total"].detach()))
    assert told[-1] < told[0]


def test_clip_loss_is_that_of_transformers():
    modeling_clip = pytest.importorskip("transformers.models.clip.modeling_clip")
    truth = modeling_clip.image_text_contrastive_loss
    similarity = torch.randn(6, 6) * 3
    assert torch.allclose(contrastive_loss(similarity, torch.eye(6).bool()), truth(similarity.T), atol=1e-6)


def test_siglip_loss_is_the_published_formula():
    # Zhai et al. 2023, algorithm 1, pair by pair
    logits = torch.randn(5, 5).double() * 4
    truth = 0.0
    for i in range(5):
        for j in range(5):
            z = 1.0 if i == j else -1.0
            truth += float(torch.log1p(torch.exp(-z * logits[i, j]))) / 5
    assert float(sigmoid_loss(logits, torch.eye(5).bool())) == pytest.approx(truth, rel=1e-9)


def test_texts_that_are_the_same_share_the_target():
    similarity = torch.full((3, 3), -20.0)
    similarity[:2, :2] = 0.0
    similarity[2, 2] = 0.0
    same = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]]).bool()
    # two equal texts cannot be told apart: the best is the entropy of a coin for two of three rows
    assert float(contrastive_loss(similarity, same)) == pytest.approx(2 / 3 * np.log(2), rel=1e-6)


def test_hard_negatives_are_other_texts_and_rather_similar_ones():
    similarity = torch.zeros(4, 4)
    similarity[0, 2] = 5.0
    same = torch.eye(4).bool()
    same[1, 3] = same[3, 1] = True
    drawn = torch.stack([hard_negatives(similarity, same, torch.Generator().manual_seed(s), 0.5) for s in range(200)])
    assert not (drawn == torch.arange(4)).any()
    assert not (drawn[:, 1] == 3).any()
    # 0.5 from likeness, nearly all on column 2, and a third of the other half
    assert (drawn[:, 0] == 2).float().mean() == pytest.approx(0.66, abs=0.1)


def test_parts_drop_the_same_patches_in_both_passes():
    objective, batch = objective_of("clip", "loss.keep_patches=0.5"), batch_of(8)
    torch.manual_seed(1)
    bank = _bank(objective, batch.parts(2))
    # the live pass of each part, as a step makes it
    for number, part in enumerate(batch.parts(2)):
        image, _, _ = objective.embed(part)
        assert torch.allclose(image, bank.image[4 * number :][:4], atol=1e-6)


@pytest.mark.parametrize("name", ["knowlip", "clip", "siglip", "blip"])
def test_contrast_in_parts_has_the_gradient_of_the_whole(name):
    batch = batch_of(8)
    objective = objective_of(name, "loss.itm=0", "loss.mlm=0")
    tower = objective.model.vit.blocks[0].mlp.fc1.weight, objective.model.text_proj.weight, objective.model.logit_scale
    whole = torch.autograd.grad(objective(batch, moment())["total"], tower)
    parts = batch.parts(4)
    embedded = [objective.embed(part) for part in parts]
    bank = Bank(*(torch.cat(made) for made in zip(*embedded, strict=True)), 0, 4)
    summed = [torch.zeros_like(t) for t in tower]
    for number, part in enumerate(parts):
        now = Moment(0, 10, torch.Generator().manual_seed(0), Bank(bank.image, bank.text, bank.ids, number, 4))
        for total, gradient in zip(summed, torch.autograd.grad(objective(part, now)["total"] / 4, tower), strict=True):
            total += gradient
    for a, b in zip(whole, summed, strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-6)


def test_queue_that_is_empty_and_hard_targets_are_plain_contrast():
    batch = batch_of()
    plain = objective_of("knowlip")(batch, moment())["itc"]
    queued = objective_of("knowlip", "loss.queue=8", "loss.soft_targets=0")(batch, moment())["itc"]
    assert queued.item() == pytest.approx(plain.item(), rel=1e-6)


def test_queue_holds_the_newest_slow_embeddings_and_its_loss_is_albefs():
    objective = objective_of("knowlip", "loss.queue=6", "loss.soft_targets=0.4")
    for step in range(2):
        objective(batch_of(seed=step), moment(step))
    queue = objective.queue
    batch = batch_of(seed=2)
    with torch.no_grad():
        slow = {seed: objective.embed(batch_of(seed=seed))[:2] for seed in range(3)}
        before = queue.text.clone(), queue.image.clone()
        assert torch.allclose(before[0], torch.cat([slow[1][1], slow[0][1]])[:6], atol=1e-6)
        # ALBEF's equations 6 and 7, row by row; the copies have not moved, so slow and fast are the same
        image, text = slow[2]
        scale, truth = objective.model.scale(), 0.0
        for mine, others in ((image, torch.cat([text, before[0]])), (text, torch.cat([image, before[1]]))):
            for row in range(4):
                told = torch.softmax(scale * mine[row] @ others.T, 0)
                target = 0.4 * told
                target[row] += 0.6
                truth -= float((target * told.log()).sum()) / 4 / 2
    assert objective(batch, moment(2))["itc"].item() == pytest.approx(truth, rel=1e-5)


def test_blips_writer_sees_no_later_word():
    objective, batch = objective_of("blip").eval(), batch_of()
    with torch.inference_mode():
        tokens, _ = objective.model.encode_image(batch.pixels, batch.channels)
        before = objective.write(batch.ids, tokens)
        changed = batch.ids.clone()
        changed[:, 7] = 5 + (changed[:, 7] - 4) % (VOCABULARY - 5)
        after = objective.write(changed, tokens)
    assert torch.allclose(before[:, :7], after[:, :7], atol=1e-6)
    assert (before[:, 7:] - after[:, 7:]).abs().max() > 1e-3


def test_blips_language_model_starts_at_chance():
    losses = objective_of("blip")(batch_of(), moment())
    assert losses["lm"].item() == pytest.approx(np.log(VOCABULARY), rel=0.2)


def test_ratio_gradient_is_that_of_averages_taken_one_by_one():
    power = np.random.default_rng(0).gamma(2, 1, (20, 24))
    r = 3
    side = 2 * r + 1

    def average(rows, columns):
        footprint = np.zeros((side, side), bool)
        footprint[rows, columns] = True
        return generic_filter(power, np.mean, footprint=footprint, mode="mirror")

    whole = slice(None)
    across = np.log(average(whole, slice(0, r + 1)) / average(whole, slice(r, side)))
    down = np.log(average(slice(0, r + 1), whole) / average(slice(r, side), whole))
    ours = ratio_gradient(torch.from_numpy(power)[None, None], r)[0, 0].numpy()
    assert np.allclose(ours, np.hypot(across, down), atol=1e-9)


def test_ratio_gradient_is_the_same_in_bright_and_dark_ground():
    # speckle is multiplicative: the same edge, ten times as bright, has the same gradient; a difference would not
    edge = torch.ones(1, 1, 64, 64)
    edge[..., 32:] = 4.0
    speckle = torch.distributions.Gamma(4.0, 4.0).sample((1, 1, 64, 64))
    assert torch.allclose(ratio_gradient(edge * speckle, 9), ratio_gradient(10 * edge * speckle, 9), atol=1e-5)
    clean = ratio_gradient(edge, 9)[0, 0, 32]
    # a pixel's own column belongs to both sides: beside the edge, one dark and nine bright ones against dark
    assert float(clean.max()) == pytest.approx(np.log((1 + 9 * 4) / 10), rel=1e-5)
    assert float(clean[10]) == pytest.approx(0.0, abs=1e-6)


def test_gradients_do_not_depend_on_the_level_of_a_polarisation():
    objective, batch = objective_of("sarjepa"), batch_of()
    assert torch.allclose(
        objective.target(batch.pixels, batch.channels), objective.target(batch.pixels + 0.7, batch.channels), atol=1e-4
    )


def test_patches_are_in_row_order():
    image = torch.arange(64.0).view(1, 1, 8, 8)
    assert torch.equal(patches(image, 4)[0, 1, 0].view(4, 4), image[0, 0, :4, 4:])
    assert torch.equal(patches(image, 4)[0, 2, 0].view(4, 4), image[0, 0, 4:, :4])


@pytest.mark.parametrize("name", ["mae", "sarjepa"])
def test_hidden_patches_are_not_seen(name):
    objective, batch = objective_of(name).eval(), batch_of(2)
    grid = (4, 4)
    seen, asked = objective.choose(moment(), 2, grid)
    for image in range(2):
        assert not set(seen[image].tolist()) & set(asked[image].tolist())
    assert asked.shape[1] == 12
    hidden = torch.ones(2, 16).scatter(1, seen, 0.0).view(2, 1, 4, 4)
    other = batch.pixels + 3 * F.interpolate(hidden, scale_factor=16)
    with torch.inference_mode():
        a = encode_seen(objective.model.vit, batch.pixels, batch.channels, seen)
        b = encode_seen(objective.model.vit, other, batch.channels, seen)
    assert torch.equal(a, b)


def test_all_patches_seen_is_the_plain_encoder():
    objective, batch = objective_of("mae").eval(), batch_of(2)
    everything = torch.arange(16).repeat(2, 1)
    with torch.inference_mode():
        ours = encode_seen(objective.model.vit, batch.pixels, batch.channels, everything)
        assert torch.allclose(ours, objective.model.vit(batch.pixels, batch.channels), atol=1e-5)


def test_sarjepas_window_is_seven_patches_wide():
    objective = objective_of("sarjepa")
    seen, asked = objective.choose(moment(), 50, (16, 16))
    for row in torch.cat([seen, asked], 1):
        rows, columns = row // 16, row % 16
        assert (int(rows.max() - rows.min()), int(columns.max() - columns.min())) == (6, 6)
        assert len(set(row.tolist())) == 49


def test_positions_are_sines_of_row_and_column():
    # Vaswani et al. 2017, section 3.5, one number at a time
    ours = sine_positions(3, 5, 16, torch.device("cpu")).numpy()
    for row in range(3):
        for column in range(5):
            for k in range(4):
                angles = row * 10000 ** (-k / 4), column * 10000 ** (-k / 4)
                told = ours[row * 5 + column, [k, 4 + k, 8 + k, 12 + k]]
                truth = [f(a) for a in angles for f in (np.sin, np.cos)]
                assert np.allclose(told, truth, atol=1e-6)


def test_momentum_copy_follows_and_is_never_trained():
    objective = objective_of("mocov3", "loss.momentum=0.9")
    slow, fast = objective.slow[0].blocks[0].attn.qkv.weight, objective.model.vit.blocks[0].attn.qkv.weight
    before = slow.clone()
    with torch.no_grad():
        fast.add_(1.0)
    objective.after_step(moment(0))
    assert torch.allclose(slow, before + 0.1, atol=1e-6)
    objective.after_step(moment(10))
    assert torch.allclose(slow, before + 0.1, atol=1e-6)
    assert not slow.requires_grad


def test_views_are_crops_of_the_tile():
    ramp = torch.linspace(0, 1, 64).repeat(1, 1, 64, 1).repeat(8, 1, 1, 1)
    views = seen_from(ramp, torch.Generator().manual_seed(0))
    assert views.shape == ramp.shape
    slopes = (views[..., 32, 40] - views[..., 32, 24]).squeeze() * 63 / 16
    assert (slopes.abs() <= 1.001).all()
    assert (slopes.abs() >= np.sqrt(0.2) * 0.99).all()
    assert (slopes < 0).any()
    assert (slopes > 0).any()
