from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

from infmap_train.data import augmentation

pytestmark = pytest.mark.train

SIZE = 64


def _seed(number: int) -> object:
    return tf.constant([number, 0], tf.int32)


def _batch(count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    coarse = rng.integers(50, 200, (count, 8, 8)).astype(np.float32)
    pictures = [cv2.resize(c, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) for c in coarse]
    return np.stack(pictures)[..., np.newaxis]


def test_movements_stay_within_the_papers_bounds() -> None:
    rows = augmentation.random_transforms(2000, SIZE, _seed(1)).numpy()
    angle = np.degrees(np.arctan2(rows[:, 3], rows[:, 0]))
    assert np.abs(angle).max() <= 10 + 1e-3
    assert np.abs(angle).max() > 9.5
    centre = (SIZE - 1) / 2
    shift_x = rows[:, 0] * centre + rows[:, 1] * centre + rows[:, 2] - centre
    shift_y = rows[:, 3] * centre + rows[:, 4] * centre + rows[:, 5] - centre
    for shift in (shift_x, shift_y):
        assert np.abs(shift).max() <= 0.1 * SIZE + 1e-3
        assert np.abs(shift).max() > 0.095 * SIZE
    # Nothing but rotation: lengths are kept.
    assert np.allclose(rows[:, 0] ** 2 + rows[:, 3] ** 2, 1, atol=1e-5)


def test_stretching_keeps_to_its_bounds_and_moves_nothing_else() -> None:
    rigid = augmentation.random_transforms(2000, SIZE, _seed(1)).numpy()
    rows = augmentation.random_transforms(2000, SIZE, _seed(1), 0.2).numpy()
    # Output to input: the factors by which what is sampled is wider and higher than the picture.
    wide, high = (np.hypot(rows[:, i], rows[:, i + 1]) for i in (0, 3))
    for factor in (wide, high):
        assert np.abs(np.log(factor)).max() <= 0.2 + 1e-5
        assert np.abs(np.log(factor)).max() > 0.19
    assert abs(np.corrcoef(wide, high)[0, 1]) < 0.1
    assert np.allclose(rows[:, :2] / wide[:, np.newaxis], rigid[:, :2], atol=1e-5)
    assert np.allclose(rows[:, 3:5] / high[:, np.newaxis], rigid[:, 3:5], atol=1e-5)
    # The picture's centre goes where it went before.
    centre = np.full(2, (SIZE - 1) / 2)
    for row, before in zip(rows[:50], rigid[:50], strict=True):
        got, wanted = (r[:6].reshape(2, 3) @ [*centre, 1] for r in (row, before))
        assert np.allclose(got, wanted, atol=1e-3)


def test_pictures_equal_opencvs_warp_with_the_nearest_pixel_outside() -> None:
    images = _batch(6)
    masks = (images > 125).astype(np.float32)
    moved, moved_masks = augmentation.augment(tf.constant(images), tf.constant(masks), _seed(2))
    rows = augmentation.random_transforms(6, SIZE, _seed(2)).numpy()
    for row, image, got, mask, got_mask in zip(
        rows, images, moved.numpy(), masks, moved_masks.numpy(), strict=True
    ):
        matrix = row[:6].reshape(2, 3).astype(np.float64)
        flags = cv2.WARP_INVERSE_MAP
        wanted = cv2.warpAffine(
            image[..., 0],
            matrix,
            (SIZE, SIZE),
            flags=flags | cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        # OpenCV rounds positions to 1/32 pixel.
        assert np.abs(wanted - got[..., 0]).mean() < 1.0
        wanted_mask = cv2.warpAffine(
            mask[..., 0],
            matrix,
            (SIZE, SIZE),
            flags=flags | cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_REPLICATE,
        )
        assert (wanted_mask != got_mask[..., 0]).mean() < 0.02
        assert set(np.unique(got_mask)) <= {0.0, 1.0}
        assert math.isclose(got.min(), image.min(), abs_tol=25)


def test_image_and_mask_move_together() -> None:
    images = np.zeros((8, SIZE, SIZE, 1), np.float32)
    images[:, 20:40, 25:45] = 1
    moved, masks = augmentation.augment(tf.constant(images), tf.constant(images), _seed(3))
    differing = ((moved.numpy() >= 0.5) != (masks.numpy() > 0)).mean()
    assert differing < 0.005
    assert (moved.numpy() != images).any()


def test_one_seed_gives_one_set_of_pictures() -> None:
    images = tf.constant(_batch(3))
    first, again, other = (augmentation.augment(images, images, _seed(s))[0] for s in (4, 4, 5))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_tone_keeps_the_range_and_the_order_of_gray_levels() -> None:
    ramp = tf.constant(np.linspace(0, 255, 256, dtype=np.float32).reshape(1, 16, 16, 1))
    toned = augmentation.jitter_tone(ramp, _seed(6), 0.2).numpy().ravel()
    assert toned.min() >= 0
    assert toned.max() <= 255
    assert (np.diff(toned) >= 0).all()
    assert np.array_equal(augmentation.jitter_tone(ramp, _seed(6), 0.0), ramp)
