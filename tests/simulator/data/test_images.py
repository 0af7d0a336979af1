"""Tasks of two classes from real images, and the images that packages bring along."""

import numpy as np
import pytest

from simulator.data import images
from simulator.data.batches import TrainingSet
from simulator.data.image_files import Images
from simulator.data.images import binary_task, digits, patches_of, photograph, photograph_patches

# --- tasks --------------------------------------------------------------------------------


def few(rng, n=40, classes=4):
    return Images(rng.random((n, 2, 3, 1)), np.arange(n) % classes, tuple("abcd"[:classes]))


def test_inputs_are_centred_by_the_training_set_and_as_long_as_one_on_average(rng):
    task = binary_task(few(rng), "a-c", rng=0)
    assert (len(task.training), len(task.test), task.names) == (14, 6, ("a", "c"))
    np.testing.assert_allclose(task.training.X.mean(axis=0), 0.0, atol=1e-12)
    assert (task.training.X**2).sum(axis=1).mean() == pytest.approx(1.0)
    assert task.picture(task.test.X).shape == (6, 2, 3, 1)


def test_pictures_are_the_pixels_and_no_image_is_in_both_sets(rng):
    source = few(rng)
    task = binary_task(source, "halves", rng=1)
    shown = np.concatenate([task.picture(task.training.X), task.picture(task.test.X)])
    assert len(shown) == 40
    order = np.lexsort(shown.reshape(40, -1).T)
    wanted = source.pixels[np.lexsort(source.pixels.reshape(40, -1).T)]
    np.testing.assert_allclose(shown[order], wanted, atol=1e-12)


def test_a_finite_training_set_is_visited_whole_in_every_epoch(rng):
    task = binary_task(few(rng), "a-b", rng=0)
    batches = TrainingSet(task, len(task.training), batch_size=7, seed=3)
    epoch = np.concatenate([batches.batch(step).X for step in (0, 1)])
    assert {row.tobytes() for row in epoch} == {row.tobytes() for row in task.training.X}
    with pytest.raises(ValueError, match="n: expected at most 14, got 15: the training set is"):
        task.sample(15, 0)


def test_shuffled_labels_are_of_the_training_set_alone(rng):
    true, shuffled = (binary_task(few(rng, 400), "a-b", rng=5, shuffled=word)
                      for word in (False, True))
    assert sorted(true.training.y) == sorted(shuffled.training.y)
    assert np.mean(true.training.y == shuffled.training.y) < 0.7
    np.testing.assert_array_equal(true.test.y, shuffled.test.y)


@pytest.mark.parametrize("task, message", [
    ("a-e", "task: expected halves or two classes such as a-d"), ("a-a", "got 'a-a'"),
    ("third", "got 'third'"), ("0-9", "got '0-9'")])
def test_a_task_that_the_images_have_not_is_told(rng, task, message):
    with pytest.raises(ValueError, match=message):
        binary_task(few(rng), task, rng=0)


def test_a_label_without_images_is_told(rng):
    source = Images(rng.random((4, 2, 2, 1)), np.array([0, 0, 0, 0]), ("a", "b"))
    with pytest.raises(ValueError, match="training images: expected some of both labels"):
        binary_task(source, "a-b", rng=0)
    with pytest.raises(ValueError, match="test_samples: expected at most 6, got 9"):
        binary_task(few(rng), "a-b", rng=0, test_samples=9)


# --- images of packages -------------------------------------------------------------------


def test_the_digits_are_there_without_a_download():
    pytest.importorskip("sklearn")
    found = digits()
    assert repr(found) == "Images(1797 of 8 x 8, 10 classes)"
    assert found.pixels.min() == 0.0 and found.pixels.max() == 1.0


def test_patches_are_of_their_image_and_those_held_out_share_no_pixel_with_others():
    pytest.importorskip("skimage")
    image = photograph("camera")
    assert image.shape == (512, 512) and 0.0 <= image.min() < image.max() <= 1.0
    windows = np.lib.stride_tricks.sliding_window_view(image, (6, 6))
    assert all((windows == patch).all(axis=(2, 3)).any() for patch in patches_of(image, 6, 3, 0))
    pairs = photograph_patches(("camera", "brick"), 6, 30, 10, 0)
    assert pairs.held_out.sum() == 20 and pairs.labels.tolist() == [0] * 40 + [1] * 40
    columns = [np.arange(512.0)[None].repeat(512, 0)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "photograph", lambda name: columns[0])
        patch.setattr(images, "patches_of", lambda image, side, count, rng: image[:count, :side])
        seen = list(photograph_patches(("a",), 6, 3, 3, 0).pixels)
    assert max(image.max() for image in seen[:3]) < min(image.min() for image in seen[3:])


def test_a_patch_larger_than_its_image_and_an_unknown_photograph_are_told():
    with pytest.raises(ValueError, match="side: expected at most 4, got 5: a patch lies in"):
        patches_of(np.zeros((4, 9)), 5, 1, 0)
    with pytest.raises(ValueError, match="photograph: expected one of china, .* got 'moan'"):
        photograph("moan")


@pytest.mark.parametrize("module, read, package", [
    ("sklearn", digits, "scikit-learn"), ("sklearn", lambda: photograph("china"), "scikit-learn"),
    ("skimage", lambda: photograph("camera"), "scikit-image")])
def test_a_missing_package_names_the_extra(monkeypatch, module, read, package):
    for name in (module, f"{module}.datasets", f"{module}.data"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(ImportError, match=rf"expected {package}, .* pip install "
                       r"'feature-purification\[images\]'"):
        read()
