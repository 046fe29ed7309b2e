"""Where weights come from, and what is refused on the way."""

from __future__ import annotations

import http.server
import os
import pickle
import random
import threading
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from huggingface_hub import constants as hub
from safetensors.torch import load_file, save_file
from small_models import save_model

from tac_pipeline.encoders import weights
from tac_pipeline.encoders.model_choice import choose_model
from tac_pipeline.encoders.weights import WeightsOutOfReach, load_model, require_weights
from tac_pipeline.errors import EncoderError, TacWarning

REPOSITORY = "timm/vit_base_patch32_clip_224.openai"


def assert_same_tensors(model: torch.nn.Module, expected: dict[str, torch.Tensor]) -> None:
    found = model.state_dict()
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)


# --- files ------------------------------------------------------------------------------------------------------------

FORMS: dict[str, Callable[[dict[str, torch.Tensor]], Any]] = {
    "state_dict": dict,
    "training checkpoint": lambda tensors: {"epoch": 3, "state_dict": tensors},
    "of parallel training": lambda tensors: {
        "state_dict": {f"module.{name}": value for name, value in tensors.items()}
    },
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("suffix", ["pt", "pth", "bin"])
def test_checkpoints_of_torch(form: str, suffix: str, tmp_path: Path) -> None:
    config, saved = save_model(tmp_path)
    tensors = load_file(saved)
    path = tmp_path / f"weights.{suffix}"
    torch.save(FORMS[form](tensors), path)
    assert_same_tensors(load_model(choose_model(config, str(path))), tensors)


def test_safetensors(tmp_path: Path) -> None:
    config, saved = save_model(tmp_path)
    model = load_model(choose_model(config, saved))
    assert_same_tensors(model, load_file(saved))
    assert not model.training
    assert not any(tensor.requires_grad for tensor in model.parameters())


def test_a_tower_of_its_own_takes_the_old_names(tmp_path: Path) -> None:
    _, saved = save_model(tmp_path)
    (tmp_path / "own").mkdir()
    config, _ = save_model(tmp_path / "own", custom_text=True)
    model = load_model(choose_model(config, saved))
    torch.testing.assert_close(model.text.positional_embedding, load_file(saved)["positional_embedding"])


@pytest.mark.parametrize(
    "saved_as,named",
    [
        ({"vision_cfg": {"width": 96}}, "visual"),
        ({"vision_cfg": {"layers": 1}}, r"visual\.transformer\.resblocks\.1\.[\w.]+.* and \d+ more"),
        ({"text_cfg": {"layers": 3}}, r"transformer\.resblocks\.2\."),
        ({"vision_cfg": {"image_size": 64}}, r"visual\.positional_embedding \(65, 64\)"),
        ({"text_cfg": {"context_length": 32}}, r"positional_embedding \(32, 48\)"),
    ],
)
def test_a_checkpoint_of_another_model_names_its_tensors(saved_as: dict[str, Any], named: str, tmp_path: Path) -> None:
    _, other = save_model(tmp_path, **saved_as)
    other_path = Path(other).rename(tmp_path / "other.safetensors")
    config, _ = save_model(tmp_path)
    with pytest.raises(EncoderError, match=rf"does not fit it \(look at .*{named}"):
        load_model(choose_model(config, str(other_path)))


def test_a_torchscript_archive_is_refused_with_the_remedy(tmp_path: Path) -> None:
    config, _ = save_model(tmp_path)
    path = tmp_path / "ViT-B-32.pt"
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))
    with pytest.raises(EncoderError, match=r"TorchScript archive, which holds code.*open_clip_model\.safetensors"):
        load_model(choose_model(config, str(path)))


class Trap:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("write", [lambda value, path: path.write_bytes(pickle.dumps(value)), torch.save])
def test_code_in_a_checkpoint_is_never_run(write: Callable[[Any, Path], None], tmp_path: Path) -> None:
    config, _ = save_model(tmp_path)
    path = tmp_path / "trap.bin"
    write({"state_dict": Trap(tmp_path / "sprung")}, path)
    with pytest.raises(EncoderError, match="must hold tensors alone"):
        load_model(choose_model(config, str(path)))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt", "weights.bin"])
@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x80\x02}q\x00."])
def test_files_that_are_no_checkpoint(name: str, content: bytes, tmp_path: Path) -> None:
    config, _ = save_model(tmp_path)
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(EncoderError, match=rf"{name} must "):
        load_model(choose_model(config, str(path)))


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt"])
def test_a_login_page_in_place_of_weights_is_called_one(name: str, tmp_path: Path) -> None:
    config, _ = save_model(tmp_path)
    (tmp_path / name).write_text("<!DOCTYPE html><html><body>Please log in</body></html>")
    with pytest.raises(EncoderError, match=r"holds an HTML page, as a proxy or a login page sends it\. Delete it"):
        require_weights(choose_model(config, str(tmp_path / name)))


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_weights_that_are_cut_short_are_refused_before_they_are_needed(suffix: str, tmp_path: Path) -> None:
    config, saved = save_model(tmp_path)
    path = tmp_path / f"weights.{suffix}"
    if suffix == "pt":
        torch.save(load_file(saved), path)
    else:
        Path(saved).rename(path)
    choice = choose_model(config, str(path))
    require_weights(choice)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(EncoderError, match=rf"weights\.{suffix} must .* Delete it, and fetch it again") as refused:
        require_weights(choice)
    assert "weights_only" not in str(refused.value), "torch's advice to run what the file holds"


def test_a_damaged_safetensors_file(tmp_path: Path) -> None:
    config, saved = save_model(tmp_path)
    Path(saved).write_bytes(Path(saved).read_bytes()[:-100])
    with pytest.raises(EncoderError, match="cannot be read"):
        load_model(choose_model(config, saved))


def test_tensors_of_nothing_known(tmp_path: Path) -> None:
    config, _ = save_model(tmp_path)
    path = tmp_path / "else.safetensors"
    save_file({"weight": torch.ones(2)}, path)
    with pytest.raises(EncoderError, match="must hold exactly the tensors"):
        load_model(choose_model(config, str(path)))


def test_a_config_that_builds_no_model(tmp_path: Path) -> None:
    config, saved = save_model(tmp_path)
    Path(config).write_text(Path(config).read_text().replace('"patch_size"', '"patchsize"'))
    with pytest.raises(EncoderError, match=r"cannot be built from its config.*patchsize"):
        load_model(choose_model(config, saved))


# --- random -----------------------------------------------------------------------------------------------------------


def test_random_weights_are_the_same_each_time_and_touch_no_random_state(tmp_path: Path) -> None:
    config, _ = save_model(tmp_path)
    torch.manual_seed(11)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    with pytest.warns(TacWarning, match="are random"):
        first = load_model(choose_model(config, "random"))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before[1:]
    torch.manual_seed(12)
    with pytest.warns(TacWarning, match="are random"):
        second = load_model(choose_model(config, "random"))
    assert_same_tensors(second, first.state_dict())


# --- the hub ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path / "hub"
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
    return cache


@pytest.fixture
def no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.setattr(open_clip, "download_pretrained", refuse)


@pytest.mark.usefixtures("empty_cache", "no_download")
def test_weights_out_of_reach_are_refused_without_trying_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    # The port of the discard service: nothing answers there.
    monkeypatch.setattr(hub, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        EncoderError, match=rf"`openai` of ViT-B-32-quickgelu.*127\.0\.0\.1:9/{REPOSITORY} gave: "
    ) as caught:
        load_model(choose_model("ViT-B-32-quickgelu", "openai"))
    assert "`encoder.pretrained: /path/to/open_clip_model.safetensors`" in str(caught.value)


@pytest.mark.usefixtures("empty_cache", "no_download")
def test_offline_by_order_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    with pytest.raises(EncoderError, match="HF_HUB_OFFLINE is set"):
        load_model(choose_model("ViT-B-32-quickgelu", "openai"))


@pytest.fixture
def guest_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that answers everything with a page to log in."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = b"<html><body>Please log in</body></html>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(page)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(hub, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.usefixtures("empty_cache", "no_download", "guest_network")
@pytest.mark.parametrize("ask", [require_weights, load_model])
def test_a_proxy_that_answers_with_a_page_is_told_before_any_download(ask: Callable[[Any], object]) -> None:
    with pytest.raises(WeightsOutOfReach, match="an HTML page instead of the file, as a proxy or a login page does"):
        ask(choose_model("ViT-B-32-quickgelu", "openai"))


@pytest.mark.usefixtures("empty_cache")
def test_a_page_that_was_downloaded_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "weights.pt"
    page.write_text("<html><body>Please log in</body></html>")
    monkeypatch.setattr(weights, "unreachable", lambda url: None)
    monkeypatch.setattr(open_clip, "download_pretrained", lambda tag: str(page))
    with pytest.raises(WeightsOutOfReach, match="an HTML page"):
        load_model(choose_model("ViT-B-32-quickgelu", "openai"))
    assert not page.exists()


@pytest.mark.usefixtures("empty_cache")
@pytest.mark.parametrize("failure", [FileNotFoundError("gone"), RuntimeError("checksum"), urllib.error.URLError("cut")])
def test_a_download_that_fails_is_told(failure: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(weights, "unreachable", lambda url: None)
    monkeypatch.setattr(open_clip, "download_pretrained", fail)
    with pytest.raises(EncoderError, match=r"gone|checksum|cut"):
        load_model(choose_model("ViT-B-32-quickgelu", "openai"))


@pytest.mark.usefixtures("no_download")
@pytest.mark.parametrize("name", ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"])
def test_weights_in_the_cache_need_no_connection(name: str, empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "ENDPOINT", "http://127.0.0.1:9")
    folder = empty_cache / f"models--{REPOSITORY.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc").mkdir(parents=True)
    path = folder / "snapshots" / "abc" / name
    path.write_bytes(b"")
    assert weights._fetched(choose_model("ViT-B-32-quickgelu", "openai")) == path
