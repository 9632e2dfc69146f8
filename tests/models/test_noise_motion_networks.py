# SPDX-License-Identifier: Apache-2.0
"""The dual-task network: divisive normalisation, the numbers of parameters, maps, sizes."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from bidsqa.models.networks_noise_motion import (  # noqa: E402
    ARCHITECTURES,
    DivisiveNormalization,
    NoiseMotionNet,
    WithMaps,
)


def layer(beta: tuple[float, ...], gamma: tuple[tuple[float, ...], ...]) -> DivisiveNormalization:
    made = DivisiveNormalization(len(beta)).double()
    with torch.no_grad():
        made.root_beta.copy_(torch.tensor(beta).sqrt())
        made.root_gamma.copy_(torch.tensor(gamma).sqrt())
    return made


def pixel(*values: float):
    return torch.tensor(values, dtype=torch.float64).reshape(1, -1, 1, 1)


@pytest.mark.parametrize(("scale", "wanted"), [(1.0, (0.27735, 0.55470)), (1e4, (0.33333, 0.57735))])
def test_normalisation_of_a_known_pixel(scale: float, wanted: tuple[float, float]) -> None:
    made = layer((4.0, 1.0), ((1.0, 2.0), (0.0, 3.0)))
    assert made(scale * pixel(1, 2)).flatten().tolist() == pytest.approx(wanted, abs=1e-5)


def test_normalisation_is_odd_and_the_identity_without_weights() -> None:
    image = torch.randn(2, 3, 5, 4, dtype=torch.float64)
    made = DivisiveNormalization(3).double()
    assert torch.equal(made(-image), -made(image))
    plain = layer((1.0, 1.0, 1.0), ((0.0,) * 3,) * 3)
    assert torch.allclose(plain(image), image)


def test_normalisation_of_one_channel_is_bounded() -> None:
    made = layer((0.3,), ((0.25,),))
    assert made(1e8 * torch.randn(1, 1, 9, 9, dtype=torch.float64)).abs().max() <= 1 / 0.25**0.5


def test_normalisation_has_gradients_at_silence_and_right_ones() -> None:
    made = DivisiveNormalization(3).double()
    silent = torch.zeros(1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    made(silent).sum().backward()
    assert torch.isfinite(silent.grad).all()
    assert all(torch.isfinite(parameter.grad).all() for parameter in made.parameters())
    assert (made.root_gamma != 0).all(), "a root of 0 would never move"
    image = torch.randn(1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(made, (image,))


def test_beta_has_a_floor() -> None:
    made = layer((0.0, 0.0), ((0.0, 0.0), (0.0, 0.0)))
    assert made.beta.tolist() == pytest.approx([1e-6, 1e-6])


@pytest.mark.parametrize(
    ("name", "count"),
    [("dual", 265_330), ("noise", 143_985), ("motion", 135_921), ("motion_relu_bn", 134_689)],
)
def test_number_of_parameters(name: str, count: int) -> None:
    assert sum(parameter.numel() for parameter in ARCHITECTURES[name]().parameters()) == count


def test_number_of_parameters_by_part() -> None:
    network = NoiseMotionNet()
    parts = {"trunk": network.trunk, **network.branches}
    found = {name: sum(parameter.numel() for parameter in part.parameters()) for name, part in parts.items()}
    assert found == {"trunk": 14_576, "noise": 129_409, "motion": 121_345}


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("size", [(512, 512), (256, 256), (176, 208)])
def test_any_size(name: str, size: tuple[int, int]) -> None:
    network = ARCHITECTURES[name]().eval()
    with torch.no_grad():
        outputs = network(torch.randn(2, 1, *size))
    assert len(outputs) == len(network.output_names)
    assert all(output.shape == (2, 1) and torch.isfinite(output).all() for output in outputs)


def test_one_task_alone_gives_what_both_give() -> None:
    network = NoiseMotionNet().eval()
    image = torch.randn(2, 1, 64, 64)
    for place, task in enumerate(("noise", "motion")):
        assert torch.allclose(network(image)[place][:, 0], network.task_output(image, task))


@pytest.mark.parametrize("tasks", [(), ("blur",)])
def test_unknown_tasks(tasks: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="tasks are of noise and motion"):
        NoiseMotionNet(tasks)


def test_maps_are_the_parts_of_the_outputs() -> None:
    network = NoiseMotionNet().double().eval()
    image = torch.randn(2, 1, 256, 256, dtype=torch.float64)
    noise, logit, noise_map, clean_map = WithMaps(network)(image)
    assert torch.allclose(noise, network(image)[0])
    assert torch.allclose(logit, network(image)[1])
    assert noise_map.shape == clean_map.shape == (2, 1, 8, 8)
    # the slope of the map's sum at the feature map is that of the output itself
    features = network.branches["noise"].features
    kept: list = []
    handle = features.register_forward_hook(lambda module, inputs, output: kept.append(output))
    output = network(image)[0]
    handle.remove()
    (gradient,) = torch.autograd.grad(output.sum(), kept[0])
    assert torch.allclose(noise_map, (gradient * kept[0]).sum(dim=1, keepdim=True))
