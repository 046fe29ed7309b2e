"""Small made data sets in the layouts in which the true ones are handed out, with drawn images of every class.

Every maker takes an empty or absent folder, which is then what people give as images.source. An image shows its class:
a shape in a color of its own. A maker gives the classes that it drew, by their names as a source gives them.
"""

from __future__ import annotations

import colorsys
import io
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw
from tar_shards import pack

from tac_pipeline.sources import ImageSource


def values(source: ImageSource, column: str) -> dict[str, str]:
    """A column of a source, by image_id."""
    ids = source.listing().images["image_id"].to_list()
    return dict(source.labels(ids, "column", column=column).iter_rows())


SHAPES = ("ellipse", "rectangle", "triangle", "ring", "bars")


def drawn(class_number: int, n_classes: int, number: int, side: int) -> np.ndarray:
    """uint8 (side, side, 3): a shape of the class on a gray ground, never twice the same."""
    generator = np.random.default_rng([class_number, number])
    shape, fine = SHAPES[class_number % len(SHAPES)], 4
    color = tuple(int(255 * part) for part in colorsys.hsv_to_rgb(class_number / n_classes, 0.9, 0.9))
    picture = Image.new("RGB", (side * fine, side * fine), (int(generator.integers(90, 200)),) * 3)
    draw, at = ImageDraw.Draw(picture), generator.uniform(0.1, 0.25, 2) * side * fine
    far = at + generator.uniform(0.5, 0.65) * side * fine
    box = (float(at[0]), float(at[1]), float(far[0]), float(far[1]))
    if shape == "ellipse":
        draw.ellipse(box, fill=color)
    elif shape == "rectangle":
        draw.rectangle(box, fill=color)
    elif shape == "ring":
        draw.ellipse(box, outline=color, width=side // 2)
    elif shape == "triangle":
        draw.polygon([(box[0], box[3]), ((box[0] + box[2]) / 2, box[1]), (box[2], box[3])], fill=color)
    else:
        for step in range(3):
            top = box[1] + step * (box[3] - box[1]) / 3
            draw.rectangle((box[0], top, box[2], top + (box[3] - box[1]) / 6), fill=color)
    return np.asarray(picture.resize((side, side), Image.Resampling.LANCZOS))


def image_file(class_number: int, n_classes: int, number: int, side: int = 64, kind: str = "JPEG") -> bytes:
    """The same as an image file."""
    buffer = io.BytesIO()
    Image.fromarray(drawn(class_number, n_classes, number, side)).save(buffer, kind)
    return buffer.getvalue()


def write(path: Path, data: bytes | str) -> Path:
    """A file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def _batches(n_classes: int, images_per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Class and number of every image, in a mixed order."""
    classes = np.tile(np.arange(n_classes), images_per_class)
    numbers = np.repeat(np.arange(images_per_class), n_classes)
    order = np.random.default_rng(seed).permutation(len(classes))
    return classes[order], numbers[order] + 1000 * seed


def _planes(classes: np.ndarray, numbers: np.ndarray, n_classes: int, side: int) -> np.ndarray:
    """uint8 (n_images, 3, side, side)."""
    pictures = [drawn(int(c), n_classes, int(i), side) for c, i in zip(classes, numbers, strict=True)]
    return np.stack(pictures).transpose(0, 3, 1, 2) if pictures else np.zeros((0, 3, side, side), dtype=np.uint8)


# --- pickles as Python 2 wrote them -----------------------------------------------------------------------------------


class OldPickle:
    """Writes pickles of protocol 2 with the instructions that Python 2 wrote, for texts, numbers, lists and arrays."""

    def __init__(self) -> None:
        self._out = bytearray(b"\x80\x02")
        self._puts = 0

    def dump(self, value: object) -> bytes:
        """A whole pickle."""
        self._add(value)
        return bytes(self._out + b".")

    def _put(self) -> None:
        self._out += b"q" + bytes([self._puts]) if self._puts < 256 else b"r" + struct.pack("<I", self._puts)
        self._puts += 1

    def _add(self, value: object) -> None:
        if isinstance(value, dict):
            self._out += b"}"
            self._put()
            self._out += b"("
            for key, item in value.items():
                self._add(key)
                self._add(item)
            self._out += b"u"
        elif isinstance(value, list):
            self._out += b"]"
            self._put()
            for start in range(0, len(value), 1000):
                self._out += b"("
                for item in value[start : start + 1000]:
                    self._add(item)
                self._out += b"e"
        elif isinstance(value, int):
            self._out += b"K" + bytes([value]) if 0 <= value < 256 else b"J" + struct.pack("<i", value)
        elif isinstance(value, np.ndarray):
            self._add_array(value)
        else:
            assert isinstance(value, str | bytes)
            data = value.encode() if isinstance(value, str) else value
            short = len(data) < 256
            self._out += (b"U" + bytes([len(data)]) if short else b"T" + struct.pack("<I", len(data))) + data
            self._put()

    def _add_array(self, array: np.ndarray) -> None:
        self._out += b"cnumpy.core.multiarray\n_reconstruct\n"
        self._put()
        self._out += b"cnumpy\nndarray\n"
        self._put()
        self._out += b"K\x00\x85"
        self._put()
        self._out += b"U\x01b\x87"
        self._put()
        self._out += b"R"
        self._put()
        self._out += b"(K\x01"
        for side in array.shape:
            self._out += b"M" + struct.pack("<H", side)
        self._out += {1: b"\x85", 2: b"\x86", 3: b"\x87"}[array.ndim]
        self._put()
        self._out += b"cnumpy\ndtype\n"
        self._put()
        self._out += b"U\x02" + array.dtype.str[1:].encode() + b"K\x00K\x01\x87"
        self._put()
        self._out += b"R"
        self._put()
        self._out += b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        self._add(array.tobytes())
        self._out += b"tb"


# --- CIFAR and STL-10 -------------------------------------------------------------------------------------------------


def _listed(words: str) -> list[str]:
    return words.split()


CIFAR10_CLASSES = _listed("airplane automobile bird cat deer dog frog horse ship truck")
CIFAR100_CLASSES = _listed(
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can "
    "castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin "
    "elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster "
    "man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck "
    "pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk "
    "skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger "
    "tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm"
)
CIFAR20_CLASSES = _listed(
    "aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices "
    "household_furniture insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes "
    "large_omnivores_and_herbivores medium_mammals non-insect_invertebrates people reptiles small_mammals trees "
    "vehicles_1 vehicles_2"
)
# Of each of the 100 classes its superclass.
CIFAR20_OF_100 = [
    *(4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11, 6, 11, 5, 10, 7, 6, 13, 15, 3, 15, 0, 11, 1),
    *(10, 12, 14, 16, 9, 11, 5, 5, 19, 8, 8, 15, 13, 14, 17, 18, 10, 16, 4, 17, 4, 2, 0, 17, 4, 18, 17, 10, 3, 2),
    *(12, 12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16, 12, 9, 13, 15, 13, 16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15),
    *(6, 0, 17, 8, 14, 13),
]
STL10_CLASSES = _listed("airplane bird car cat deer dog horse monkey ship truck")


def make_cifar10(folder: Path, *, images_per_class: int = 5, binary: bool = False) -> list[str]:
    """cifar-10-batches-py, or -bin: images_per_class to learn from, in five batches, and as many to test."""
    files = {f"data_batch_{number}": number for number in range(1, 6)} | {"test_batch": 6}
    train, test = _batches(10, images_per_class, 1), _batches(10, images_per_class, 2)
    for name, number in files.items():
        part = slice(number - 1, None, 5)
        classes, numbers = test if number == 6 else (train[0][part], train[1][part])
        pixels = _planes(classes, numbers, 10, 32).reshape(len(classes), -1)
        if binary:
            rows = np.concatenate([classes.astype(np.uint8)[:, None], pixels], axis=1)
            write(folder / f"{name}.bin", rows.tobytes())
            continue
        batch = {
            "batch_label": f"training batch {number} of 5" if number < 6 else "testing batch 1 of 1",
            "labels": classes.tolist(),
            "data": pixels,
            "filenames": [f"{CIFAR10_CLASSES[c]}_s_{i:06d}.png" for c, i in zip(classes, numbers, strict=True)],
        }
        write(folder / name, OldPickle().dump(batch))
    if binary:
        write(folder / "batches.meta.txt", "\n".join(CIFAR10_CLASSES) + "\n\n")
    else:
        meta = {"num_cases_per_batch": 10000, "label_names": CIFAR10_CLASSES, "num_vis": 3072}
        write(folder / "batches.meta", OldPickle().dump(meta))
    write(folder / "readme.html", "<meta HTTP-EQUIV='REFRESH'>")
    return list(CIFAR10_CLASSES)


def make_cifar100(folder: Path, *, images_per_class: int = 1, binary: bool = False) -> list[str]:
    """cifar-100-python, or -binary: as many images to learn from as to test."""
    for seed, name in enumerate(("train", "test"), start=1):
        classes, numbers = _batches(100, images_per_class, seed)
        coarse = np.array(CIFAR20_OF_100)[classes]
        pixels = _planes(classes, numbers, 100, 32).reshape(len(classes), -1)
        if binary:
            rows = np.concatenate([np.stack([coarse, classes], axis=1).astype(np.uint8), pixels], axis=1)
            write(folder / f"{name}.bin", rows.tobytes())
            continue
        batch = {
            "filenames": [f"{CIFAR100_CLASSES[c]}_s_{i:06d}.png" for c, i in zip(classes, numbers, strict=True)],
            "batch_label": f"{name}ing batch 1 of 1",
            "fine_labels": classes.tolist(),
            "coarse_labels": coarse.tolist(),
            "data": pixels,
        }
        write(folder / name, OldPickle().dump(batch))
    if binary:
        write(folder / "fine_label_names.txt", "\n".join(CIFAR100_CLASSES) + "\n")
        write(folder / "coarse_label_names.txt", "\n".join(CIFAR20_CLASSES) + "\n")
    else:
        meta = {"fine_label_names": CIFAR100_CLASSES, "coarse_label_names": CIFAR20_CLASSES}
        write(folder / "meta", OldPickle().dump(meta))
    return [name.replace("_", " ") for name in CIFAR100_CLASSES]


def make_stl10(folder: Path, *, images_per_class: int = 2, unlabeled: int = 3) -> list[str]:
    """stl10_binary: as many images to learn from as to test, and some without a class."""
    for seed, split in enumerate(("train", "test"), start=1):
        classes, numbers = _batches(10, images_per_class, seed)
        # Each color goes column by column.
        write(folder / f"{split}_X.bin", _planes(classes, numbers, 10, 96).transpose(0, 1, 3, 2).tobytes())
        write(folder / f"{split}_y.bin", (classes + 1).astype(np.uint8).tobytes())
    planes = _planes(np.arange(unlabeled) % 10, np.arange(unlabeled) + 9000, 10, 96)
    write(folder / "unlabeled_X.bin", planes.transpose(0, 1, 3, 2).tobytes())
    write(folder / "class_names.txt", "\n".join(STL10_CLASSES) + "\n")
    write(folder / "fold_indices.txt", "0 1 2 \n")
    return list(STL10_CLASSES)


# --- folders of image files -------------------------------------------------------------------------------------------


def write_classes(
    folder: Path, classes: Sequence[str], images_per_class: int, name: str = "{number:04d}.jpg", first: int = 0
) -> Iterator[tuple[int, str]]:
    """Class folders of images; gives the class and the path below the folder of each one."""
    for place, class_name in enumerate(classes):
        for number in range(first, first + images_per_class):
            below = f"{class_name}/{name.format(name=class_name.rpartition('/')[2], number=number + 1)}"
            write(folder / below, image_file(place, len(classes), number))
            yield place, below


def _write_all(
    folder: Path, classes: Sequence[str], count: int, name: str = "{number:04d}.jpg", first: int = 0
) -> None:
    for _ in write_classes(folder, classes, count, name, first):
        pass


def make_image_folder(
    folder: Path,
    *,
    classes: Sequence[str] = ("ant", "bee", "cat"),
    splits: Sequence[str] = ("train", "val"),
    images_per_class: int = 2,
) -> list[str]:
    """A tree as torchvision's ImageFolder reads it; without splits the classes are at the top."""
    for place, split in enumerate(splits or [""]):
        _write_all(folder / split, classes, images_per_class, first=place * images_per_class)
    return list(classes)


IMAGENET_SYNSETS = {
    "n01440764": "tench, Tinca tinca",
    "n02012849": "crane",
    "n02056570": "king penguin, Aptenodytes patagonica",
    "n02085936": "Maltese dog, Maltese terrier, Maltese",
    "n03126707": "crane",
}


def make_ilsvrc(
    folder: Path,
    *,
    synsets: Mapping[str, str] | None = None,
    images_per_class: int = 2,
    flat_val: bool = True,
    mapping: bool = True,
) -> list[str]:
    """The challenge's own layout; val has all images in one folder, or class folders."""
    synsets = IMAGENET_SYNSETS if synsets is None else synsets
    images = folder / "ILSVRC/Data/CLS-LOC"
    _write_all(images / "train", list(synsets), images_per_class, "{name}_{number}.JPEG")
    solution = ["ImageId,PredictionString"]
    for place, synset in enumerate(synsets):
        name = f"ILSVRC2012_val_{place + 1:08d}"
        inside = "" if flat_val else f"{synset}/"
        write(images / f"val/{inside}{name}.JPEG", image_file(place, len(synsets), 500))
        solution.append(f"{name},{synset} 85 1 499 272 ")
    write(images / "test/ILSVRC2012_test_00000001.JPEG", image_file(0, len(synsets), 900))
    if flat_val:
        write(folder / "LOC_val_solution.csv", "\n".join(solution) + "\n")
    if mapping:
        write(folder / "LOC_synset_mapping.txt", "".join(f"{synset} {name}\n" for synset, name in synsets.items()))
    return list(synsets)


DTD_CLASSES = ("banded", "dotted", "polka-dotted")


def make_dtd(folder: Path, *, classes: Sequence[str] = DTD_CLASSES, images_per_class: int = 3) -> list[str]:
    """DTD: every class has images of train, val and test; split 2 has them in another order."""
    paths = [
        below for _, below in write_classes(folder / "images", classes, images_per_class, "{name}_{number:04d}.jpg")
    ]
    names = ("train", "val", "test")
    for number in (1, 2):
        for place, split in enumerate(names):
            part = [path for at, path in enumerate(paths) if (at + number - 1) % 3 == place]
            write(folder / f"labels/{split}{number}.txt", "".join(f"{path}\n" for path in part))
    write(folder / "labels/labels_joint_anno.txt", "".join(f"{path} {path.split('/')[0]} \n" for path in paths))
    write(folder / "imdb/imdb.mat", b"MATLAB 5.0")
    return list(classes)


UCF_CLASSES = ("ApplyEyeMakeup", "HandstandPushups", "YoYo")


def make_ucf101(folder: Path, *, classes: Sequence[str] = UCF_CLASSES, images_per_class: int = 3) -> list[str]:
    """Middle frames of UCF-101's videos, with the lists beside them."""
    frames, lists = folder / "UCF-101-midframes", folder / "ucfTrainTestlist"
    videos = []
    for place, name in enumerate(classes):
        # The true videos of this class are named in another way than its folder.
        video_class = name.replace("HandstandPushups", "HandStandPushups")
        for number in range(images_per_class):
            video = f"v_{video_class}_g{number + 1:02d}_c01"
            write(frames / name / f"{video}.jpg", image_file(place, len(classes), number))
            videos.append((place, f"{name}/{video}.avi"))
    for number in (1, 2, 3):
        is_test = [(at % images_per_class) == number % images_per_class for at in range(len(videos))]
        train = [f"{path} {place + 1}\n" for (place, path), test in zip(videos, is_test, strict=True) if not test]
        write(lists / f"trainlist{number:02d}.txt", "".join(train))
        tests = [f"{path}\n" for (_, path), test in zip(videos, is_test, strict=True) if test]
        write(lists / f"testlist{number:02d}.txt", "".join(tests))
    write(lists / "classInd.txt", "".join(f"{place + 1} {name}\n" for place, name in enumerate(classes)))
    return ["Apply Eye Makeup", "Hand Stand Pushups", "Yo Yo"] if classes == UCF_CLASSES else list(classes)


FOOD_CLASSES = ("apple_pie", "pho", "tacos")


def make_food101(folder: Path, *, classes: Sequence[str] = FOOD_CLASSES, images_per_class: int = 3) -> list[str]:
    """Food-101: two thirds of a class to learn from."""
    paths = [below for _, below in write_classes(folder / "images", classes, images_per_class)]
    names = [path.removesuffix(".jpg") for path in paths]
    for split, part in (("train", [n for i, n in enumerate(names) if i % 3 < 2]), ("test", names[2::3])):
        write(folder / f"meta/{split}.txt", "\n".join(part) + "\n")
    write(folder / "meta/classes.txt", "\n".join(classes) + "\n")
    return [name.replace("_", " ") for name in classes]


PET_CLASSES = ("Abyssinian", "american_bulldog", "Egyptian_Mau")


def make_pets(folder: Path, *, classes: Sequence[str] = PET_CLASSES, images_per_class: int = 2) -> list[str]:
    """Oxford-IIIT Pet, without its masks."""
    lines = []
    for place, name in enumerate(classes):
        for number in range(images_per_class):
            write(folder / f"images/{name}_{number + 1}.jpg", image_file(place, len(classes), number))
            lines.append(f"{name}_{number + 1} {place + 1} {1 + name[0].islower()} 1\n")
    write(folder / "annotations/list.txt", "#Image CLASS-ID SPECIES BREED ID\n" + "".join(lines))
    write(folder / "annotations/trainval.txt", "".join(lines[::2]))
    write(folder / "annotations/test.txt", "".join(lines[1::2]))
    return [name.replace("_", " ") for name in classes]


AIRCRAFT = (("707-320", "Boeing 707", "Boeing"), ("737-200", "Boeing 737", "Boeing"), ("A300B4", "A300", "Airbus"))


def make_aircraft(folder: Path, *, images_per_class: int = 3) -> list[str]:
    """FGVC Aircraft's data/: every variant has images of train, val and test."""
    splits = ("train", "val", "test")
    lines: dict[tuple[str, str], list[str]] = {}
    for place, names in enumerate(AIRCRAFT):
        for number in range(images_per_class):
            image = f"{1000000 + 100 * place + number}"
            write(folder / f"images/{image}.jpg", image_file(place, len(AIRCRAFT), number))
            for kind, name in zip(("variant", "family", "manufacturer"), names, strict=True):
                lines.setdefault((kind, splits[number % 3]), []).append(f"{image} {name}\n")
    for (kind, split), texts in lines.items():
        write(folder / f"images_{kind}_{split}.txt", "".join(texts))
    return [variant for variant, _, _ in AIRCRAFT]


SUN_CLASSES = ("a/abbey", "a/apartment_building/outdoor", "z/zen_garden")


def make_sun397(folder: Path, *, classes: Sequence[str] = SUN_CLASSES, images_per_class: int = 2) -> list[str]:
    """SUN397 with its first partition: half of a class to learn from."""
    names = "sun_{name}{number}.jpg"
    paths = [f"/{below}" for _, below in write_classes(folder, classes, images_per_class, names)]
    write(folder / "ClassName.txt", "".join(f"/{name}\n" for name in classes))
    write(folder / "Training_01.txt", "\n".join(paths[::2]) + "\n")
    write(folder / "Testing_01.txt", "\n".join(paths[1::2]) + "\n")
    return [name[2:].replace("/", " ").replace("_", " ") for name in classes]


def make_caltech101(
    folder: Path, *, classes: Sequence[str] = ("BACKGROUND_Google", "accordion", "wild_cat"), images_per_class: int = 2
) -> list[str]:
    """Caltech-101 as its archive unpacks."""
    images = folder / "101_ObjectCategories"
    _write_all(images, classes, images_per_class, "image_{number:04d}.jpg")
    return list(classes)


def make_flowers(folder: Path, *, numbers: Sequence[int] = (1, 5, 102), images_per_class: int = 3) -> list[str]:
    """Oxford 102 Flower, of some classes: every class has images of train, val and test."""
    from scipy.io import savemat

    labels = [number for number in numbers for _ in range(images_per_class)]
    for place, label in enumerate(labels):
        picture = image_file(list(numbers).index(label), len(numbers), place)
        write(folder / f"jpg/image_{place + 1:05d}.jpg", picture)
    savemat(folder / "imagelabels.mat", {"labels": np.array([labels], dtype=np.uint8)})
    ids = np.arange(1, len(labels) + 1, dtype=np.uint16)
    splits = {name: ids[None, place::3] for place, name in enumerate(("trnid", "valid", "tstid"))}
    savemat(folder / "setid.mat", splits)
    names = {1: "pink primrose", 5: "english marigold", 102: "blackberry lily"}
    return [names.get(number, str(number)) for number in numbers]


CAR_CLASSES = ("Acura RL Sedan 2012", "BMW M3 Coupe 2012", "smart fortwo Convertible 2012")


def make_cars(folder: Path, *, images_per_class: int = 2, test_labels: bool = True) -> list[str]:
    """Stanford Cars: as many images to learn from as to test."""
    from scipy.io import savemat

    (folder / "devkit").mkdir(parents=True, exist_ok=True)
    savemat(folder / "devkit/cars_meta.mat", {"class_names": np.array([CAR_CLASSES], dtype=object)})
    for split, seed in (("train", 0), ("test", 100)):
        rows: list[tuple[object, ...]] = []
        for place in range(len(CAR_CLASSES)):
            for number in range(images_per_class):
                name = f"{len(rows) + 1:05d}.jpg"
                write(folder / f"cars_{split}/{name}", image_file(place, len(CAR_CLASSES), seed + number))
                rows.append((1, 1, 9, 9, place + 1, name))
        kinds = [(part, object) for part in ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")]
        table = {"annotations": np.array([rows], dtype=kinds)}
        if split == "train":
            savemat(folder / "devkit/cars_train_annos.mat", table)
        elif test_labels:
            savemat(folder / "cars_test_annos_withlabels.mat", table)
    return list(CAR_CLASSES)


# --- Hugging Face, webdataset, JSON -----------------------------------------------------------------------------------


def features_of(columns: Mapping[str, Sequence[str]], image: str = "image") -> dict[str, object]:
    """Hugging Face's features: a column of images, and columns of numbered classes."""
    classes = {name: {"names": list(names), "_type": "ClassLabel"} for name, names in columns.items()}
    return {image: {"_type": "Image"}, **classes}


def hugging_face_table(
    classes: Mapping[str, Sequence[str]], n_images: int, *, image: str = "image", first: int = 0, cells: bool = True
) -> pa.Table:
    """A table with a column of images, and a number in each column of classes; the first has the drawn classes."""
    names = next(iter(classes.values()))
    pictures = [
        {"bytes": image_file(row % len(names), len(names), first + row) if cells else None, "path": f"{row}.jpg"}
        for row in range(n_images)
    ]
    columns: dict[str, pa.Array] = {
        image: pa.array(pictures, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    }
    for name, values in classes.items():
        columns[name] = pa.array([row % len(names) % len(values) for row in range(n_images)], pa.int64())
    told = json.dumps({"info": {"features": features_of(classes, image)}})
    return pa.table(columns).replace_schema_metadata({"huggingface": told})


def make_parquet_shards(
    folder: Path,
    *,
    classes: Mapping[str, Sequence[str]] | None = None,
    image: str = "image",
    images_per_class: int = 2,
    inside: str = "data",
) -> list[str]:
    """A data set as the hub keeps it: two shards to learn from, one to test."""
    classes = {"label": ("ant", "bee", "cat")} if classes is None else classes
    names = list(next(iter(classes.values())))
    files = ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001")
    for number, name in enumerate(files):
        table = hugging_face_table(classes, images_per_class * len(names), image=image, first=100 * number)
        path = folder / inside / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
    return names


def make_saved_dataset(
    folder: Path, *, splits: Sequence[str] = ("train", "test"), images_per_class: int = 2, cells: bool = True
) -> list[str]:
    """What save_to_disk of datasets writes; without splits it is one data set."""
    names = ("ant", "bee", "cat")
    for place, split in enumerate(splits or [""]):
        table = hugging_face_table({"label": names}, images_per_class * 3, first=100 * place, cells=cells)
        path = folder / split / "data-00000-of-00001.arrow"
        path.parent.mkdir(parents=True, exist_ok=True)
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
        state = {"_data_files": [{"filename": path.name}], "_fingerprint": "0", "_split": split or "train"}
        write(folder / split / "state.json", json.dumps(state))
        write(folder / split / "dataset_info.json", json.dumps({"features": features_of({"label": names})}))
    if splits:
        write(folder / "dataset_dict.json", json.dumps({"splits": list(splits)}))
    return list(names)


def make_webdataset(
    folder: Path, *, images_per_class: int = 2, form: str = "cls", names: bool = True, inside: str = "{split}-000.tar"
) -> list[str]:
    """Shards of train and test; the classes are in members .cls (numbers or texts) or .json."""
    classes = ["ant", "bee", "cat"]
    for seed, split in enumerate(("train", "test")):
        members: dict[str, bytes] = {}
        for place, name in enumerate(classes):
            for number in range(images_per_class):
                key = f"{place}{number:04d}"
                members[f"{key}.jpg"] = image_file(place, len(classes), 100 * seed + number)
                if form == "json":
                    members[f"{key}.json"] = json.dumps({"caption": "a drawing", "class": name}).encode()
                else:
                    members[f"{key}.cls"] = (str(place) if names else name).encode()
        pack(folder / inside.format(split=split), members)
    if names and form == "cls":
        write(folder / "classnames.txt", "\n".join(classes) + "\n")
    return classes


def make_coco(folder: Path, *, roboflow: bool = False, images_per_class: int = 2) -> list[str]:
    """COCO's files, or Roboflow's: an image shows its category large, and another one small."""
    classes = ["ant", "bee", "cat"]
    for seed, split in enumerate(("train", "valid") if roboflow else ("train2017", "val2017")):
        images: list[dict[str, object]] = []
        objects: list[dict[str, object]] = []
        for place in range(len(classes)):
            for number in range(images_per_class):
                image = 10 + len(images)
                name = f"{image:012d}.jpg"
                write(folder / split / name, image_file(place, len(classes), 100 * seed + number))
                images.append({"id": image, "file_name": name, "width": 64, "height": 64, "license": 1})
                other = (place + 1) % len(classes)
                for category, sides in ((other, (5, 5)), (place, (9, 4)), (place, (4, 4))):
                    box = [1, 1, *sides]
                    parts = {"bbox": box, "area": box[2] * box[3], "segmentation": [[1.5, 2.5e1, 3, 4]], "iscrowd": 0}
                    objects.append({"id": len(objects), "image_id": image, "category_id": 7 * category + 1, **parts})
        categories = [{"id": 7 * place + 1, "name": name} for place, name in enumerate(classes)]
        told = {"info": {"year": 2017}, "annotations": objects, "images": images, "categories": categories}
        path = f"{split}/_annotations.coco.json" if roboflow else f"annotations/instances_{split}.json"
        write(folder / path, json.dumps(told))
    return classes


def make_fiftyone(folder: Path, *, images_per_class: int = 2) -> list[str]:
    """FiftyOne's image classification export."""
    classes, labels = ["ant", "bee", "cat"], {}
    for place in range(len(classes)):
        for number in range(images_per_class):
            name = f"{place}-{number}"
            write(folder / f"data/{name}.jpg", image_file(place, len(classes), number))
            labels[name] = place
    write(folder / "labels.json", json.dumps({"classes": classes, "labels": labels}))
    return classes
