"""Readers of image files: what they read, and what they say of a bad file."""

import gzip
import struct

import numpy as np
import pytest

from simulator.data import image_files
from simulator.data.image_files import read_cifar10, read_idx, read_images

SHAPES = (4, 3, 5)  # images, height, width


def idx(array, kind=0x08):
    """The bytes of an IDX file."""
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape)
    return head + array.astype(image_files.IDX_TYPES[kind]).tobytes()


def cifar(labels, rng):
    """CIFAR-10 records, and their pixels as (n, red-green-blue, 32, 32)."""
    pixels = rng.integers(256, size=(len(labels), 3, 32, 32), dtype=np.uint8)
    records = np.concatenate([np.array(labels, np.uint8)[:, None], pixels.reshape(-1, 3072)], 1)
    return records.tobytes(), pixels


def test_cifar_records_are_read_plane_by_plane(tmp_path, rng):
    content, pixels = cifar([3, 9], rng)
    (tmp_path / "data_batch_1.bin").write_bytes(content)
    (tmp_path / "test_batch.bin").write_bytes(cifar([5], rng)[0])
    found = read_images(tmp_path)
    assert found.labels.tolist() == [3, 9, 5] and found.classes[3] == "cat"
    assert found.held_out.tolist() == [False, False, True]
    np.testing.assert_array_equal(found.pixels[1, 4, 7] * 255.0, pixels[1, :, 4, 7])
    assert read_cifar10(tmp_path / "data_batch_1.bin").held_out is None


@pytest.mark.parametrize("content, message", [
    (b"\3" * 3072, "expected records of 3073 bytes, got 3072 bytes: the file is truncated"),
    (b"", "got 0 bytes"),
    (b"\xff" * 3073, "expected labels 0 to 9, got 255"),
])
def test_what_is_no_cifar_batch_is_told_in_a_line(tmp_path, content, message):
    (tmp_path / "a.bin").write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        read_images(tmp_path / "a.bin")
    assert "\n" not in str(error.value) and "a.bin" in str(error.value)


def test_a_folder_without_batches_and_no_file_at_all_are_told(tmp_path):
    with pytest.raises(ValueError, match=r"expected CIFAR-10 batches \(.bin"):
        read_images(tmp_path)
    with pytest.raises(ValueError, match="expected a file or folder of images, got none"):
        read_images(tmp_path / "nothing.npz")


@pytest.mark.parametrize("zipped", (False, True))
@pytest.mark.parametrize("kind", sorted(image_files.IDX_TYPES))
def test_idx_arrays_come_back_in_their_type(tmp_path, zipped, kind):
    array = np.arange(60).reshape(SHAPES)
    content = idx(array, kind)
    (tmp_path / "a").write_bytes(gzip.compress(content) if zipped else content)
    found = read_idx(tmp_path / "a")
    assert found.dtype == np.dtype(image_files.IDX_TYPES[kind]).newbyteorder("=")
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("spoil, message", [
    (lambda content: content[:-1], "expected 60 bytes for sizes .* got 59: the file is truncated"),
    (lambda content: content + b"\0", "expected 60 bytes for sizes .* got more"),
    (lambda content: content[:9], "expected 3 sizes, got 1: the file is truncated"),
    (lambda content: b"\x93NUMPY" + content, "begins with 93 4e 55 4d"),
    (lambda content: b"", "begins with nothing"),
    (lambda content: gzip.compress(content)[:-12], "expected a whole gzip file"),
    (lambda content: b"\x1f\x8bjunk", "expected a whole gzip file"),
])
def test_what_is_no_idx_file_is_told_in_a_line(tmp_path, spoil, message):
    (tmp_path / "a").write_bytes(spoil(idx(np.arange(60).reshape(SHAPES))))
    with pytest.raises(ValueError, match=message) as error:
        read_idx(tmp_path / "a")
    assert "\n" not in str(error.value)


def test_a_header_that_promises_too_much_asks_for_no_memory(tmp_path):
    (tmp_path / "a").write_bytes(struct.pack(">BBBB3I", 0, 0, 8, 3, 2**31, 2**31, 2**31))
    with pytest.raises(ValueError, match="the file is truncated"):
        read_idx(tmp_path / "a")


def test_mnist_finds_its_labels_beside_it(tmp_path, rng):
    pixels = rng.integers(256, size=SHAPES)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(pixels))
    with pytest.raises(ValueError, match="expected its labels beside it, train-labels-idx1-ubyte"):
        read_images(tmp_path / "train-images-idx3-ubyte")
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.array([7, 2, 7, 2])))
    found = read_images(tmp_path / "train-images-idx3-ubyte")
    assert found.classes == ("2", "7") and found.labels.tolist() == [1, 0, 1, 0]
    np.testing.assert_allclose(found.pixels[..., 0] * 255.0, pixels)


def test_npz_and_npy_are_read(tmp_path, rng):
    pixels, labels = rng.random(SHAPES), np.array([0, 1, 1, 0])
    np.savez(tmp_path / "a.npz", X=pixels, y=labels)
    np.save(tmp_path / "my-images.npy", pixels)
    np.save(tmp_path / "my-labels.npy", labels)
    for name in ("a.npz", "my-images.npy"):
        found = read_images(tmp_path / name)
        np.testing.assert_array_equal(found.pixels[..., 0], pixels)
        np.testing.assert_array_equal(found.labels, labels)
    np.savez(tmp_path / "flat.npz", X=(rng.random((4, 9)) * 255).astype(np.uint8), y=labels)
    assert repr(read_images(tmp_path / "flat.npz")) == "Images(4 of 3 x 3, 2 classes)"


@pytest.mark.parametrize("arrays, message", [
    ({"X": np.zeros(SHAPES)}, "expected arrays X and y, got X"),
    ({"X": np.zeros(SHAPES), "y": np.zeros(3, int)}, "labels: expected 4 integers"),
    ({"X": np.zeros(SHAPES), "y": np.zeros(4)}, "labels: expected 4 integers, one an image, got f"),
    ({"X": np.full(SHAPES, 7.0), "y": np.zeros(4, int)}, "expected floats from 0 to 1, got 7 to 7"),
    ({"X": np.full(SHAPES, np.nan), "y": np.zeros(4, int)}, "expected finite numbers"),
    ({"X": np.zeros(SHAPES, int), "y": np.zeros(4, int)}, "expected bytes or floats from 0 to 1"),
    ({"X": np.zeros((4, 8)), "y": np.zeros(4, int)}, "expected squares where they are flat"),
    ({"X": np.zeros(4), "y": np.zeros(4, int)}, r"expected shape \(n, height, width\)"),
    ({"X": np.array([{}]), "y": np.zeros(1, int)}, "without pickled objects"),
])
def test_arrays_that_are_no_images_are_told_in_a_line(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=message) as error:
        read_images(tmp_path / "a.npz")
    assert "\n" not in str(error.value)


def test_an_archive_under_the_name_of_an_array_is_told_in_a_line(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.zeros((4, 2, 2)), y=np.arange(4))
    (tmp_path / "a.npz").rename(tmp_path / "images.npy")
    with pytest.raises(ValueError, match="images.npy: expected one array, got an archive") as told:
        read_images(tmp_path / "images.npy")
    assert "\n" not in str(told.value)


def test_a_broken_archive_is_told_in_a_line(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.zeros(SHAPES), y=np.zeros(4, int))
    whole = (tmp_path / "a.npz").read_bytes()
    for content in (whole[:-40], whole[40:], b"junk"):
        (tmp_path / "a.npz").write_bytes(content)
        with pytest.raises(ValueError, match="expected arrays of NumPy") as error:
            read_images(tmp_path / "a.npz")
        assert "\n" not in str(error.value)
