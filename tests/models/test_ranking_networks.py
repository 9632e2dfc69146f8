# SPDX-License-Identifier: Apache-2.0
"""Tang's networks: their sizes, and the laws that follow from how they are built."""

from __future__ import annotations

import pytest
import torch

from bidsqa.models.efficientnet import FEATURES, EfficientNetB0
from bidsqa.models.networks_ranking import (
    ARCHITECTURES,
    ComplexDropout,
    EfficientNetRanker,
    IQNet,
    LinearBlock,
    ThreeWay,
)
from bidsqa.models.networks_ssim import count_parameters

SIZE = 64


def difference(count: int = 2, size: int = SIZE, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 2, size, size, generator=torch.Generator().manual_seed(seed))


def turned(values: torch.Tensor, factor: complex) -> torch.Tensor:
    whole = torch.complex(values[:, 0], values[:, 1]) * factor
    return torch.stack([whole.real, whole.imag], dim=1)


@pytest.fixture
def iq_net() -> IQNet:
    torch.manual_seed(1)
    return IQNet().eval()


@pytest.mark.parametrize(
    ("network", "count"),
    [(IQNet(), 5_562), (ThreeWay(), 98), (EfficientNetB0(), 4_007_548), (EfficientNetRanker(), 4_008_838)],
    ids=["iq_net", "classifier", "backbone", "efficientnet"],
)
def test_sizes_are_those_of_the_paper(network: torch.nn.Module, count: int) -> None:
    # the classifier is printed as 196: a layer summary counts it once for D and once for -D
    assert count_parameters(network) == count


def test_without_reference_one_channel_less_enters() -> None:
    assert count_parameters(EfficientNetRanker(reference=False)) == 4_008_838 - 3


@pytest.mark.parametrize("factor", [2.0, 1e-2, 1j, -3 + 4j])
def test_iq_net_is_positively_homogeneous(iq_net: IQNet, factor: complex) -> None:
    score = iq_net(difference())
    assert torch.allclose(iq_net(turned(difference(), factor)), abs(factor) * score, rtol=1e-3)


def test_iq_net_scores_no_difference_as_nothing(iq_net: IQNet) -> None:
    assert iq_net(torch.zeros(1, 2, SIZE, SIZE)).abs().item() < 1e-5


def test_iq_net_with_positive_weights_keeps_the_triangle_inequality(iq_net: IQNet) -> None:
    assert (iq_net.weights.weight >= 0).all()
    one, two = difference(8, seed=1), difference(8, seed=2)
    assert (iq_net(one + two) <= iq_net(one) + iq_net(two) + 1e-5).all()


def test_iq_net_has_a_floor_whatever_its_weights(iq_net: IQNet) -> None:
    with torch.no_grad():
        iq_net.weights.weight.copy_(torch.randn_like(iq_net.weights.weight))
        iq_net.input_weight.fill_(-0.5)
        scores = [float(iq_net(size * difference(1))) for size in (0.0, 0.1, 1.0, 100.0)]
    assert scores == sorted(scores)
    assert scores[0] == pytest.approx(0, abs=1e-4)


def test_iq_net_score_does_not_grow_with_the_matrix(iq_net: IQNet) -> None:
    tile = difference(1, 64)
    small, large = iq_net(tile), iq_net(tile.repeat(1, 1, 4, 4))
    assert torch.allclose(small, large, rtol=0.1)
    published = IQNet(per_pixel=False).eval()
    published.load_state_dict(iq_net.state_dict())
    assert torch.allclose(published(tile.repeat(1, 1, 4, 4)) / published(tile), torch.tensor(4.0), rtol=0.1)


def test_iq_net_halves_as_published() -> None:
    sizes = []
    values = torch.zeros(1, 2, 1, 396, 396)
    for block in IQNet().eval().blocks:
        values = block(values)
        sizes.append(values.shape[-1])
    assert sizes == [198, 99, 49, 24, 12]


def test_a_block_is_linear_with_the_same_real_kernel_for_both_parts() -> None:
    block = LinearBlock(1, 8, dropout=0.0).eval()
    values = difference(1)[:, :, None]
    swapped = block(values.flip(1)).flip(1)
    assert torch.allclose(block(values), swapped, atol=1e-6)
    assert torch.allclose(block(3 * values), 3 * block(values), atol=1e-5)


def test_gradients_are_finite_where_there_is_no_difference(iq_net: IQNet) -> None:
    image = torch.zeros(1, 2, SIZE, SIZE, requires_grad=True)
    iq_net(image).sum().backward()
    assert image.grad is not None
    assert torch.isfinite(image.grad).all()


def test_dropout_drops_whole_complex_values() -> None:
    torch.manual_seed(0)
    dropped = ComplexDropout(0.5)(torch.ones(1, 2, 3, 40, 40))
    assert torch.equal(dropped[:, 0], dropped[:, 1])
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.1)


def test_swapping_images_turns_the_answer_round() -> None:
    torch.manual_seed(2)
    classifier = ThreeWay()
    first, second = torch.randn(50, 1), torch.randn(50, 1)
    assert torch.allclose(classifier(first, second), classifier(second, first).flip(1), atol=1e-6)


def test_equal_scores_favour_no_side() -> None:
    logits = ThreeWay()(torch.ones(1, 1), torch.ones(1, 1))
    assert logits[0, 0] == logits[0, 2]


def test_backbone_gives_the_features_of_any_size() -> None:
    backbone = EfficientNetB0().eval()
    with torch.inference_mode():
        assert backbone(torch.zeros(2, 3, 96, 64)).shape == (2, FEATURES)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_network_takes_its_named_input(name: str) -> None:
    network = ARCHITECTURES[name]().eval()
    channels = {"difference": 2, "slices": 1}[network.input_names[0]]  # type: ignore[index]
    with torch.inference_mode():
        assert network(torch.rand(2, channels, SIZE, SIZE)).shape == (2, 1)


@pytest.mark.parametrize(
    ("reference", "sizes"), [(True, [(96, 96), (224, 224), (224, 224)]), (False, [(96, 96), (224, 224), (300, 300)])]
)
def test_large_differences_are_resized_and_slices_keep_their_pixels(
    reference: bool, sizes: list[tuple[int, int]]
) -> None:
    torch.manual_seed(2)
    network = EfficientNetRanker(reference=reference).eval()
    seen: list[tuple[int, ...]] = []
    network.backbone.register_forward_hook(lambda _, inputs, __: seen.append(tuple(inputs[0].shape[-2:])))
    with torch.no_grad():
        for size in (96, 224, 300):
            network(torch.rand(1, 2 if reference else 1, size, size))
    assert seen == sizes
