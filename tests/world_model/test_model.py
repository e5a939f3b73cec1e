"""The world model as a whole: what it may see, what each part changes, that it learns."""

import copy
import dataclasses

import pytest
import torch

from drivewm.structures import OCC3D
from drivewm.world_model import WorldModel
from drivewm.world_model.denoiser import Motion
from drivewm.world_model.objective import world_model_losses
from drivewm.world_model.observation import observe
from tests.world_model.tiny import GRID, make_clip, make_model


def ask(clip):
    return clip.history(), clip.future_poses(), clip.future_times_s()


def observed(model, clip):
    found = observe(model, *ask(clip), ("occupancy",))
    return found.memory["occupancy"], found.motion


def logits_of(model, memory, motion):
    """From nothing but masks."""
    masks = {"occupancy": model.all_masks(len(motion.time_s), "occupancy")}
    return model.trunk(masks, {"occupancy": memory}, motion)["occupancy"]


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_forecast_and_imagine_give_labels_for_each_future_frame(model, clip):
    for frames in (model.forecast(*ask(clip)).labels, model.imagine(*ask(clip), rng())):
        assert frames.shape == (2, 4, *GRID.shape) and frames.dtype == torch.uint8
        assert frames.max() < OCC3D.num_classes


def test_the_past_never_changes(model, clip):
    before = copy.deepcopy(clip)
    model.forecast(*ask(clip))
    model.imagine(*ask(clip), rng())
    assert torch.equal(before.occupancy, clip.occupancy) and torch.equal(before.T_global_ego, clip.T_global_ego)


def test_imagination_is_seeded_and_diverse(model, clip):
    first, again, other = (model.imagine(*ask(clip), rng(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_future_occupancy_is_not_used(model, clip):
    changed = dataclasses.replace(clip, occupancy=clip.occupancy.clone())
    changed.occupancy[:, clip.num_history :] = 0
    assert torch.equal(model.forecast(*ask(clip)).logits, model.forecast(*ask(changed)).logits)


def test_the_unconditional_branch_does_not_see_the_history(model):
    """Other history, other warp: the blind twin's logits must stay the same to the bit, and the others must not."""
    logits = []
    for seed in (0, 1):
        clip = make_clip(seed=seed)
        if seed:
            clip.T_global_ego[:, :2, 0, 3] += 1.0
        memory, motion = observed(model, clip)
        both = Motion(motion.pose.repeat(2, 1), motion.time_s.repeat(2), motion.given.repeat(2))
        logits.append(logits_of(model, memory.with_blind_twin(), both).chunk(2))
    (seen_a, blind_a), (seen_b, blind_b) = logits
    assert torch.equal(blind_a, blind_b)
    assert not torch.allclose(seen_a, seen_b)


def test_one_pass_of_guidance_equals_two(model, clip):
    memory, motion = observed(model, clip)
    twin = memory.with_blind_twin()
    number = len(motion.time_s)
    both = Motion(motion.pose.repeat(2, 1), motion.time_s.repeat(2), motion.given.repeat(2))
    joint = logits_of(model, twin, both)
    parts = (twin.keys, twin.values, twin.visible, twin.view, twin.covered)
    blind = type(twin)(*(part[number:] for part in parts))
    apart = torch.cat([logits_of(model, m, motion) for m in (memory, blind)])
    assert torch.allclose(joint, apart, atol=1e-5)


@pytest.mark.parametrize("change", ["guidance", "drop_motion", "motion", "warp"])
def test_nothing_is_inert(model, clip, change):
    reference = model.imagine(*ask(clip), rng())
    history, poses, times = ask(clip)
    if change == "guidance":
        model.guidance = 0.0
    elif change == "drop_motion":
        model.drop_motion = True
    elif change == "warp":
        model.denoiser.memory.warp = False
    else:
        poses = torch.eye(4).expand_as(poses)
    assert not torch.equal(reference, model.imagine(history, poses, times, rng()))


def test_frames_of_one_batch_do_not_mix(model):
    two, one = make_clip(batch=2), make_clip(batch=2)
    one.occupancy[1] = 3
    assert torch.equal(model.forecast(*ask(two)).logits[0], model.forecast(*ask(one)).logits[0])


def test_the_action_free_future_carries_a_gradient_to_the_trunk_and_is_not_told_of_any_motion(model, clip):
    outlook = model.action_free(clip.history(), torch.tensor([1.0, 2.0, 4.0]))
    assert outlook.hidden.shape[:2] == outlook.logits.shape[:2] == outlook.seen.shape[:2] == (2, 3)
    outlook.hidden.square().sum().backward()
    assert all(block.spatial.qkv.weight.grad.abs().sum() > 0 for block in model.denoiser.blocks)
    assert all(p.grad is None for p in model.tokenizer.parameters())
    stay = torch.eye(4).expand(2, 3, 4, 4)
    told = model.outlook(clip.history(), stay, torch.tensor([[1.0, 2.0, 4.0]]).expand(2, -1))
    assert torch.equal(told.seen, outlook.seen) and not torch.allclose(told.logits, outlook.logits)


def test_a_gradient_of_the_forecast_reaches_the_motion_that_is_told(clip):
    model, (history, poses, times_s) = make_model(), ask(clip)
    poses = poses.clone().requires_grad_()
    model.expect(model.outlook(history, poses, times_s)).probabilities(torch.float32)[..., 0].sum().backward()
    assert poses.grad.isfinite().all() and poses.grad.abs().amax((-1, -2)).min() > 0


def test_the_losses_fall_on_one_batch_and_the_tokenizer_stays(clip):
    model = make_model().train()
    frozen = copy.deepcopy(model.tokenizer.state_dict())
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 3e-3)
    generator, totals = rng(), []
    for _ in range(60):
        losses = world_model_losses(model, clip, generator)
        total = losses["loss_tokens"] + losses["loss_decode"]
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(losses["loss_tokens"].item())
    assert sum(totals[-10:]) < 0.8 * sum(totals[:10])
    assert all(torch.equal(value, frozen[name]) for name, value in model.tokenizer.state_dict().items())


def test_the_same_generator_gives_the_same_losses(model, clip):
    first, again, other = (world_model_losses(model, clip, rng(seed))["loss_tokens"].item() for seed in (0, 0, 1))
    assert first == again != other


def test_another_grid_is_refused_by_both_names(model, clip):
    other = WorldModel(dict(grid=dict(range_m=(-8, -8, -1, 8, 8, 5.4), voxel_m=0.8)), dim=16, depth=1, heads=1)
    with pytest.raises(ValueError, match=r"(?s)VoxelGrid.*-8\.0.*VoxelGrid.*-6\.4"):
        other(clip, mode="predict")
