"""One world model of several streams: what each may see, and any to any."""

from dataclasses import replace

import pytest
import torch

from drivewm.evaluation.forecast.record import OWN_PRESENT
from drivewm.evaluation.forecast.report import score_forecasts
from drivewm.evaluation.metrics import LidarForecastMetric, OccupancyForecastMetric
from drivewm.planning.state import planner_state
from drivewm.structures import History
from drivewm.world_model import WorldModel, ego_warped_copy
from drivewm.world_model.denoiser import Motion
from drivewm.world_model.evidence import SolidPoints
from drivewm.world_model.exchange import EXCHANGES
from drivewm.world_model.observation import observe
from drivewm.world_model.rollout import extended, roll_out
from tests.world_model import tiny
from tests.world_model.tiny_joint import INPUTS, LIDAR, SIZE, STREAMS, ask, content, make_clip, make_model, shown

BOTH = ("occupancy", "lidar")


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module", params=EXCHANGES)
def model(request):
    return make_model(request.param)


@pytest.fixture(scope="module")
def joint():
    return make_model()


@pytest.fixture
def clip():
    return make_clip()


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_streams_begin_as_models_of_their_own(exchange, clip):
    """Before anything is learned, the joint forecast of a stream is that of a model of it alone, to the bit."""
    torch.manual_seed(0)
    joint = WorldModel(streams=STREAMS, exchange=dict(type=exchange), **SIZE).eval()
    forecasts = joint.forecasts(*ask(clip))
    for name, options in STREAMS.items():
        alone = WorldModel(**options, **SIZE).eval()
        alone.streams.load_state_dict({k: v for k, v in joint.streams.state_dict().items() if k.startswith(name)})
        alone.denoiser.load_state_dict(joint.trunk.denoisers[name].state_dict())
        assert torch.equal(content(alone.forecast(*ask(clip))), content(forecasts[name]))


@pytest.mark.parametrize("inputs", INPUTS, ids="+".join)
@pytest.mark.parametrize("outputs", INPUTS, ids="+".join)
def test_any_streams_in_any_streams_out(model, clip, inputs, outputs):
    history, poses, times_s = ask(clip)
    asked = (shown(model, history, inputs), poses, times_s)
    forecasts, frames = model.forecasts(*asked, outputs), model.imagined(*asked, rng(), outputs)
    assert set(forecasts) == set(frames) == set(outputs)
    for name in outputs:
        assert content(forecasts[name]).isfinite().all()
        assert frames[name].shape[:2] == (2, 2)


def test_streams_inform_each_other(model, clip):
    """Another LiDAR past, another occupancy forecast, and the other way round."""
    usual = model.forecasts(*ask(clip))
    for name, other in (
        ("occupancy", replace(clip, points=clip.points.flip(3))),
        ("lidar", replace(clip, occupancy=17 - clip.occupancy)),
    ):
        assert not torch.allclose(content(model.forecasts(*ask(other))[name]), content(usual[name]))


def test_the_future_is_not_used(model, clip):
    points, occupancy = clip.points.clone(), clip.occupancy.clone()
    points[:, 3:, :, :2] += 1.0
    occupancy[:, 3:] = 0
    usual = model.forecasts(*ask(clip))
    other = model.forecasts(*ask(replace(clip, points=points, occupancy=occupancy)))
    assert all(torch.equal(content(usual[name]), content(other[name])) for name in BOTH)


def test_what_is_not_asked_for_costs_nothing(clip, monkeypatch):
    model = make_model()
    history, poses, times_s = ask(clip)
    monkeypatch.setattr(model.streams["lidar"], "decode_soft", None)
    monkeypatch.setattr(model.streams["lidar"], "decode_drawn", None)
    monkeypatch.setattr(model.trunk.denoisers["lidar"], "logits", None)
    model.forecasts(history, poses, times_s, ("occupancy",))
    model.imagined(history, poses, times_s, rng(), ("occupancy",))
    # Neither observed nor asked for: it does not take part at all.
    monkeypatch.setattr(model.trunk.denoisers["lidar"], "embed", None)
    model.forecast(shown(model, history, ("occupancy",)), poses, times_s)


def test_the_unconditional_branch_sees_no_stream(model, clip):
    """Other points, other voxels, another path: the blind twins' logits stay the same to the bit."""
    other = replace(clip, points=clip.points.flip(3), occupancy=17 - clip.occupancy)
    other.T_global_ego[:, :2, 0, 3] += 1.0
    logits = []
    for seen in (clip, other):
        found = observe(model, *ask(seen), BOTH)
        motion = found.motion
        both = Motion(motion.pose.repeat(2, 1), motion.time_s.repeat(2), motion.given.repeat(2))
        masks = {name: model.all_masks(2 * len(motion.time_s), name) for name in BOTH}
        logits.append(model.trunk(masks, {n: m.with_blind_twin() for n, m in found.memory.items()}, both))
    for name in BOTH:
        (seen_a, blind_a), (seen_b, blind_b) = (own[name].chunk(2) for own in logits)
        assert torch.equal(blind_a, blind_b) and not torch.allclose(seen_a, seen_b)


def test_clips_of_one_batch_do_not_mix(model, clip):
    other = replace(clip, points=clip.points.clone(), occupancy=clip.occupancy.clone())
    other.points[1, ..., 0] += 1.0
    other.occupancy[1] = 3
    usual, found = model.forecasts(*ask(clip)), model.forecasts(*ask(other))
    assert all(torch.equal(content(usual[name])[0], content(found[name])[0]) for name in BOTH)


def test_the_same_seed_imagines_the_same_future(joint, clip):
    a, b, c = (joint.imagined(*ask(clip), rng(seed)) for seed in (0, 0, 1))
    assert all(torch.equal(a[name], b[name]) for name in BOTH)
    assert not all(torch.equal(a[name], c[name]) for name in BOTH)


@pytest.mark.parametrize("inputs", INPUTS, ids="+".join)
def test_beside_a_forecast_from_other_sensors_stands_what_they_say_of_t0_moved_along(inputs, clip):
    model, history = make_model(inputs=inputs, outputs=("occupancy",)), clip.history()
    forecasts = [sample["forecasts"] for sample in model(clip, "predict")]
    if "occupancy" in inputs:
        assert all(OWN_PRESENT not in own for own in forecasts)
        return
    still = torch.eye(4).expand(2, 1, 4, 4)
    with torch.no_grad():
        now = model.forecasts(shown(model, history, inputs), still, torch.zeros(2, 1), ("occupancy",))["occupancy"]
    newest = dict(timestamp_us=clip.timestamp_us[:, 2:3], T_global_ego=clip.T_global_ego[:, 2:3])
    names = dict(scene=clip.scene, sample_token=clip.sample_token, grid=clip.grid)
    expected = ego_warped_copy(History(**newest, **names, occupancy=now.labels), clip.future_poses())
    assert torch.equal(torch.stack([own[OWN_PRESENT] for own in forecasts]), expected)
    report = score_forecasts([sample for sample in model(clip, "predict")], horizons_s=(0.5, 1.0))
    lead = next(row for row in report["rows"] if row["predictor"] == "model")[f"lead_over_{OWN_PRESENT}"]["miou"]["1s"]
    value = {row["predictor"]: row["scores"]["miou"]["1s"] for row in report["rows"]}
    assert lead["value"] == pytest.approx(value["model"] - value[OWN_PRESENT])


@pytest.mark.parametrize("inputs", INPUTS, ids="+".join)
def test_one_test_run_scores_every_stream(inputs, clip):
    model = make_model(inputs=inputs, score_imagined=True)
    samples = model(clip, "predict")
    assert len(samples) == 2 and all({"forecasts", "lidar"} <= set(sample) for sample in samples)
    for metric in (OccupancyForecastMetric(horizons_s=(0.5, 1.0)), LidarForecastMetric(horizons_s=(0.5, 1.0))):
        metric.process(None, samples)
        assert metric.compute_metrics(metric.results)
    assert ("generated" in samples[0]["lidar"]) == ("lidar" in inputs)
    (alone, _) = make_model(inputs=inputs, outputs=("occupancy",))(clip, "predict")
    assert "lidar" not in alone
    assert torch.equal(alone["forecasts"]["model"], samples[0]["forecasts"]["model"])


def test_long_rollouts_feed_on_what_was_predicted(joint):
    clip = make_clip(future=5)
    history, poses, times_s = ask(clip)
    stretches = roll_out(joint, history, poses, times_s, ("occupancy",))
    assert [len(stretch["occupancy"].labels[0]) for stretch in stretches] == [2, 2, 1]
    first = joint.forecasts(history, poses[:, :2], times_s[:, :2])
    fields = {}
    for name, forecast in first.items():
        fields |= joint.streams[name].as_history(forecast, history, poses[:, :2])
    then = extended(history, fields, poses[:, :2], times_s[:, :2])
    T_2_ego = torch.linalg.inv(poses[:, 1:2]) @ poses[:, 2:4]
    second = joint.forecast(then, T_2_ego, times_s[:, 2:4] - times_s[:, 1:2])
    assert torch.equal(second.logits, stretches[1]["occupancy"].logits)


def test_a_stream_that_was_never_observed_is_rolled_out_too():
    """From points alone: occupancy becomes history once as many frames of it are predicted as are looked at."""
    clip = make_clip(history=2, future=5)
    model = make_model()
    history, poses, times_s = ask(clip)
    history = shown(model, history, ("lidar",))
    labels = torch.cat([s["occupancy"].labels for s in roll_out(model, history, poses, times_s)], dim=1)
    assert labels.shape[:2] == (2, 5)
    frames = dict(occupancy=labels[:, :1])
    assert extended(history, frames, poses[:, :1], times_s[:, :1]).occupancy is None
    frames = dict(occupancy=labels[:, :2])
    assert torch.equal(extended(history, frames, poses[:, :2], times_s[:, :2]).occupancy, labels[:, :2])


def test_planners_read_the_occupancy_of_the_joint_state(joint, clip):
    state = planner_state(joint, clip.history(), (1.0, 2.0))
    assert state.hidden.shape == (2, 2, 16, *joint.trunk.denoisers["occupancy"].shape)
    state.hidden.square().sum().backward()
    assert all(d.blocks[0].spatial.qkv.weight.grad.abs().sum() > 0 for d in joint.trunk.denoisers.values())
    joint.zero_grad()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(), "either a tokenizer, of its only stream, or streams"),
        (dict(tokenizer=tiny.TOKENIZER, streams=STREAMS), "either a tokenizer, of its only stream, or streams"),
        (
            dict(streams=dict(lidar=dict(tokenizer=tiny.TOKENIZER))),
            "'lidar' has a tokenizer of the modality 'occupancy'",
        ),
        (dict(streams=dict(lidar=dict())), "the stream 'lidar' needs a tokenizer"),
        (dict(streams=dict(lidar=dict(tokenizer=LIDAR, wieght=2))), "the stream 'lidar' has no option wieght"),
        (dict(streams=STREAMS, exchange=dict(type="telepathy")), "one of geometric, latents, got 'telepathy'"),
        (dict(streams=STREAMS, outputs=("radar",)), "some of occupancy, lidar, got .'radar'"),
        (dict(streams=STREAMS, inputs=()), "some of occupancy, lidar, got"),
        (dict(streams=STREAMS, mix=dict(elsewhere=0.5)), "mix.elsewhere is of occupancy, got 0.5 for a LidarTokenizer"),
    ],
)
def test_models_that_cannot_be_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        WorldModel(**options, **SIZE)


def test_histories_that_cannot_be_asked_from_are_refused(joint, clip):
    history, poses, times_s = ask(clip)
    nothing = replace(history, occupancy=None, points=None)
    with pytest.raises(ValueError, match="one or more of occupancy, lidar, but the history of scene a has none"):
        joint.forecasts(nothing, poses, times_s)
    with pytest.raises(ValueError, match="one or more of occupancy, lidar"):
        joint.imagined(nothing, poses, times_s, rng())
    with pytest.raises(ValueError, match="needs T_ego_lidar"):
        joint.forecasts(replace(history, T_ego_lidar=None), poses, times_s)
    with pytest.raises(ValueError, match="some of occupancy, lidar, got"):
        joint.forecasts(history, poses, times_s, ("camera",))
    with pytest.raises(ValueError, match="needs points, but the clip of scene a has none"):
        joint(replace(clip, points=None), "loss")


def test_sweeps_are_decoded_beside_the_voxels_of_the_same_future(joint, clip, monkeypatch):
    """As forecast and as drawn. Voxels are decoded first: where sweeps are cast does not change them."""
    stream, everything = joint.streams["occupancy"], ask(clip)
    usual = joint.forecasts(*everything), joint.imagined(*everything, rng())
    decode = stream._decode
    # Another class of each voxel: what was free is not.
    monkeypatch.setattr(stream, "_decode", lambda *told: decode(*told).roll(1, 1))
    forecasts, drawn = joint.forecasts(*everything), joint.imagined(*everything, rng())
    assert not torch.equal(forecasts["lidar"].volume, usual[0]["lidar"].volume)
    assert not torch.equal(drawn["lidar"], usual[1]["lidar"])
    monkeypatch.undo()
    monkeypatch.setattr(joint.streams["lidar"], "_decode", lambda latents, *_: usual[1]["lidar"][:, 0] * 0)
    assert torch.equal(joint.imagined(*everything, rng())["occupancy"], usual[1]["occupancy"])


def test_voxels_are_decoded_beside_the_points_that_were_seen(joint, clip):
    """With the same tokens: points that lie elsewhere, and none at all."""
    outlook = joint.outlooks(*ask(clip))["occupancy"]
    usual = joint.expect(outlook).logits
    seen = outlook.evidence["lidar"].cloud
    for cloud in (replace(seen, points=seen.points + 2.0), replace(seen, valid=torch.zeros_like(seen.valid))):
        other = replace(outlook, evidence={"lidar": SolidPoints(cloud)})
        assert not torch.equal(joint.expect(other).logits, usual)
