# SPDX-License-Identifier: Apache-2.0
"""What every artifact simulator is made of: draw the parameters, then apply them to a batch of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

Parameters = dict[str, Tensor]
Spacing = Sequence[float] | Tensor
Sampler = Callable[[torch.Generator, Tensor, Tensor], Parameters]
Applier = Callable[[Tensor, Parameters, Tensor], Tensor]

_SUBSAMPLE = 50_000


@dataclass(frozen=True)
class Artifact:
    """One row of the artifact table.

    Parameters
    ----------
    name, title : str
        Key and words for people.
    family : str
        ``"noise"``, ``"motion"``, ``"ghosting"``, ``"bias"``, ``"blur"``, ``"other"`` or, for nuisances that are no
        damage, ``"contrast"``.
    strength_meaning : str
        What strength 0 and 1 stand for.
    source : str
        Where the formula comes from.
    draw : callable
        ``(generator, strength (B,), spacing (B, dims)) -> parameters``; always takes the same number of random draws,
        so that one seed gives the same artifact at every strength.
    act : callable
        ``(image (B, 1, ...), parameters, head (B, 1, ...)) -> image``.
    paper_severity : callable, optional
        Severity by Hays et al. 2025, Table 1, from the parameters, where the paper has one.
    dims : tuple of int
        Images it acts on: 2 (slices), 3 (volumes).
    choices : mapping
        Parameters that choose between ways of doing, with the names of the ways in the order of their numbers.
    """

    name: str
    title: str
    family: str
    strength_meaning: str
    source: str
    draw: Sampler
    act: Applier
    paper_severity: Callable[[Parameters], Tensor] | None = None
    dims: tuple[int, ...] = (2, 3)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def nuisance(self) -> bool:
        """Whether a good scan may look like this: a score should not react."""
        return self.family == "contrast"

    def sample(
        self,
        generator: torch.Generator,
        strength: float | Sequence[float] | Tensor,
        spacing: Spacing = (1.0, 1.0),
        **chosen: Any,
    ) -> Parameters:
        """Draw one set of parameters a batch element.

        Parameters
        ----------
        generator : torch.Generator
            On the CPU; the only source of chance.
        strength : float, sequence or tensor, shape (B,)
            0 (nothing) to 1 (severe).
        spacing : sequence of float or tensor, shape (dims,) or (B, dims)
            Voxel edges in mm in the order of the image's axes; its length says whether the images are 2D or 3D.
        **chosen : str, number or array that broadcasts to the parameter's shape
            Parameters to set instead of drawing them, e.g. ``axis=1`` or ``order="centric"`` (words are those of
            ``choices``). The others are drawn as they would have been.

        Returns
        -------
        dict of tensors
            First dimension B, on the CPU; includes ``strength`` and ``spacing``.

        Raises
        ------
        ValueError
            For a strength outside 0-1, voxel edges that are no lengths, images of other than ``dims`` axes, or a choice
            that isn't there.
        """
        level = torch.as_tensor(strength, dtype=torch.float32, device="cpu").reshape(-1)
        # written so that what is no number fails too
        if not bool(((level >= 0) & (level <= 1)).all()):
            raise ValueError(f"strength must lie in 0-1, got {strength}")
        edges = self._edges(spacing, len(level))
        drawn = {"strength": level, "spacing": edges.clone(), **self.draw(generator, level, edges)}
        for key, value in chosen.items():
            drawn[key] = self._chosen(key, value, drawn)
        return drawn

    def _edges(self, spacing: Spacing, count: int) -> Tensor:
        """Voxel edges (count, dims), checked."""
        edges = torch.as_tensor(spacing, dtype=torch.float32, device="cpu")
        if edges.ndim == 1:
            edges = edges.expand(count, -1)
        if edges.ndim != 2 or len(edges) != count:
            raise ValueError(
                f"spacing must be one row of voxel edges, or one for each of the {count} strengths, "
                f"got shape {tuple(edges.shape)}"
            )
        self._check_axes(edges.shape[1])
        if not bool((torch.isfinite(edges) & (edges > 0)).all()):
            raise ValueError(f"voxel edges must be finite and above 0 mm, got {spacing}")
        return edges

    def _check_axes(self, count: int) -> None:
        if count not in self.dims:
            raise ValueError(f"{self.name} acts on images of {' or '.join(map(str, self.dims))} axes, not on {count}")

    def _chosen(self, key: str, value: Any, drawn: Parameters) -> Tensor:
        if key not in drawn:
            raise ValueError(f"{self.name} has no parameter {key!r} to choose; there are {', '.join(drawn)}")
        if isinstance(value, str):
            names = self.choices.get(key, ())
            if value not in names:
                raise ValueError(
                    f"{key} of {self.name} can't be {value!r}; there are {', '.join(names) or 'only numbers'}"
                )
            value = names.index(value)
        return torch.broadcast_to(torch.as_tensor(value, dtype=drawn[key].dtype), drawn[key].shape).clone()

    def apply(self, image: Tensor, parameters: Parameters, head: Tensor | None = None) -> Tensor:
        """Degrade a batch.

        Parameters
        ----------
        image : floating tensor, shape (B, 1, H, W) or (B, 1, D, H, W)
            Magnitudes in any positive scale, on any device.
        parameters : dict of tensors
            From :meth:`sample` with the same B and number of axes; edited at will.
        head : tensor of bool, same shape, optional
            Where the head is; without it what is brighter than 15 % of the 99th percentile.

        Returns
        -------
        tensor, same shape and dtype
            Computed in float32, at a scale near 1, so that no unit is too small or large. Elements of strength 0 are
            returned bit for bit; all-zero images stay zero.

        Raises
        ------
        TypeError
            For whole numbers.
        ValueError
            For images of another shape, with values that are not finite, or parameters that were drawn for another
            number of images or axes.
        """
        check_images(image)
        self._check_axes(image.ndim - 2)
        if head is not None and head.shape != image.shape:
            raise ValueError(f"the head has the shape {tuple(head.shape)}, the images {tuple(image.shape)}")
        self._check_parameters(parameters, image)
        here = {key: value.to(image.device) for key, value in parameters.items()}
        exponent = binary_exponent(image)
        plain = rescaled(image, -exponent).float()
        mask = rough_foreground(plain) if head is None else head
        degraded = rescaled(self.act(plain, here, mask), exponent, image.dtype)
        touched = (here["strength"] > 0).reshape(-1, *[1] * (image.ndim - 1))
        return torch.where(touched & (image.abs().amax(dim=spatial(image), keepdim=True) > 0), degraded, image)

    def _check_parameters(self, parameters: Parameters, image: Tensor) -> None:
        """Refuse parameters that would leave elements, axes or voxels out."""
        for key, value in parameters.items():
            if value.ndim == 0 or len(value) != len(image):
                raise ValueError(
                    f"{key} of {self.name} has the shape {tuple(value.shape)}, but there are {len(image)} images: "
                    "parameters need one row an image"
                )
        axes = image.ndim - 2
        edges = parameters.get("spacing")
        if edges is not None and edges.shape[1:] != (axes,):
            raise ValueError(f"{self.name} was drawn for {edges.shape[-1]} axes, but the images have {axes}")


def check_images(image: Tensor) -> None:
    """A batch of floating point images with one channel, all finite.

    Raises
    ------
    TypeError, ValueError
    """
    if not image.is_floating_point():
        raise TypeError(f"images must be floating point, got {image.dtype}: whole numbers can't hold the result")
    if image.ndim < 4 or image.shape[1] != 1:
        raise ValueError(
            "images must have the shape (B, 1, H, W) or (B, 1, X, Y, Z): a batch with one channel, "
            f"got {tuple(image.shape)}"
        )
    if not bool(torch.isfinite(image).all()):
        raise ValueError("images hold values that are not finite (NaN or infinite); replace them first")


def binary_exponent(image: Tensor) -> Tensor:
    """Power of two that brings the largest magnitude of each element to 0.5-1, shape (B,); 0 for empty elements."""
    top = image.abs().flatten(1).amax(dim=1).double()
    exponent = torch.frexp(top).exponent
    return torch.where(torch.isfinite(top) & (top > 0), exponent, torch.zeros_like(exponent))


def rescaled(image: Tensor, exponent: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Elements (B, 1, ...) times two to the power of their exponents (B,), which changes no digit.

    Parameters
    ----------
    image : floating tensor, shape (B, 1, ...)
    exponent : tensor of int, shape (B,)
    dtype : torch.dtype, optional
        Of the result; that of the image, and at least float32, if not given.
    """
    if not bool(exponent.any()):
        return image if dtype is None else image.to(dtype)
    kind = torch.promote_types(torch.promote_types(image.dtype, torch.float32), dtype or torch.float32)
    # in two steps: two to the power of the whole may lie beyond what a float holds
    first = exponent // 2
    result = image.to(kind)
    for part in (first, exponent - first):
        result = result * per_sample(torch.exp2(part.to(kind)), image)
    return result if dtype is None else result.to(dtype)


def spatial(image: Tensor) -> tuple[int, ...]:
    """Spatial axes of a batch (B, 1, ...)."""
    return tuple(range(2, image.ndim))


def per_sample(values: Tensor, image: Tensor) -> Tensor:
    """Values (B,) shaped to multiply a batch (B, 1, ...)."""
    return values.reshape(-1, *[1] * (image.ndim - 1))


def uniform(generator: torch.Generator, shape: int | tuple[int, ...], low: float, high: float) -> Tensor:
    """Uniform draws on the CPU."""
    size = (shape,) if isinstance(shape, int) else shape
    return low + (high - low) * torch.rand(size, generator=generator)


def whole(generator: torch.Generator, count: int, low: int, high: int) -> Tensor:
    """Whole numbers ``low`` to ``high - 1``."""
    return torch.randint(low, high, (count,), generator=generator)


def seeds(generator: torch.Generator, count: int) -> Tensor:
    """One seed a batch element, for what is drawn on the image's grid only when applied."""
    return torch.randint(0, 2**31 - 1, (count,), generator=generator)


def quantile(values: Tensor, level: float) -> Tensor:
    """Quantile of a flat tensor, from an even subsample where it is large (torch limits the size)."""
    step = max(1, values.numel() // _SUBSAMPLE)
    return torch.quantile(values[::step].float(), level)


def rough_foreground(image: Tensor) -> Tensor:
    """What is brighter than 15 % of each element's 99th percentile."""
    tops = torch.stack([quantile(element.flatten(), 0.99) for element in image])
    return image > 0.15 * per_sample(tops, image)


def head_level(image: Tensor, head: Tensor) -> Tensor:
    """Median of the head voxels of each element, shape (B,): the unit of noise and spikes."""
    levels = []
    for element, mask in zip(image, head, strict=True):
        inside = element[mask]
        levels.append(quantile(inside, 0.5) if inside.numel() else element.float().mean())
    return torch.stack(levels)


def along_axis(image: Tensor, axis: Tensor, act: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Run ``act`` on the elements of each axis with that axis moved last.

    Parameters
    ----------
    image : tensor, shape (B, 1, ...)
    axis : tensor of int, shape (B,)
        0 is the first spatial axis.
    act : callable
        ``(image (b, 1, ..., N), element numbers (b,)) -> image`` of the same shape.

    Raises
    ------
    ValueError
        An axis that the images don't have, or not one for each of them.
    """
    if len(axis) != len(image) or bool(((axis < 0) | (axis >= image.ndim - 2)).any()):
        raise ValueError(
            f"an axis of 0-{image.ndim - 3} is needed for each of {len(image)} images, got {axis.tolist()}"
        )
    result = image.clone()
    for number in range(image.ndim - 2):
        chosen = torch.nonzero(axis == number).flatten()
        if chosen.numel():
            moved = image[chosen].movedim(number + 2, -1)
            result[chosen] = act(moved, chosen).movedim(-1, number + 2).to(image.dtype)
    return result


def lines(count: int, device: torch.device) -> Tensor:
    """Signed number of each k-space line in FFT order, shape (count,)."""
    return torch.fft.fftfreq(count, 1.0 / count, device=device)
