// One image large, with what is known of it.

const viewer = (() => {
  let look = () => null;
  let image = null;
  let place = 0;
  let size = 0;
  let told = null;
  const stage = el("div", { class: "stage" });
  const facts = el("div", { class: "facts" });
  const button = (text, press) => el("button", { type: "button", class: "quiet", on: { click: press } }, text);
  const close = button("Close", () => dialog.close());
  const like = button("More like this", () => {
    if (!image) return;
    dialog.close();
    location.hash = `#/near/${encodeURIComponent(image.id)}`;
  });
  const copy = button("Copy path", () => navigator.clipboard.writeText(told.uri).then(() => said("Copied"), (error) => said(String(error))));
  const show = button("Show in folder", () => post("/api/show", { id: image.id }).catch((error) => said(error.message)));
  const buttons = el("div", { class: "viewer-buttons" }, button("← Previous", () => move(-1)), button("Next →", () => move(1)), like, copy, show, close);
  const dialog = el("dialog", { class: "viewer", "aria-label": "Image" }, stage, facts, buttons);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (by) move(by);
    else if (event.key === "l") like.click();
  });
  document.body.append(dialog);

  function said(text) {
    facts.querySelector(".said").textContent = text;
  }

  function move(by) {
    if (place + by < 0 || place + by >= size) return;
    place += by;
    draw();
  }

  async function draw() {
    const wanted = place;
    const there = await look(place);
    if (!there || place !== wanted) return;
    image = there;
    stage.replaceChildren(store.hasPictures ? original(image) : picture(image));
    const second = groupById.get(image.second);
    const moved = (to) => {
      dialog.close();
      attempt(() => act({ do: "move", images: [there.id], to }));
    };
    const rows = [
      ["group", groupLink(groupById.get(image.group))],
      ["confidence", percent(image.confidence)],
      ["second", second ? [groupLink(second), el("button", { type: "button", class: "quiet", on: { click: () => moved(second.id) } }, "Move there")] : "none"],
    ];
    if (image.score !== undefined) rows.push(["likeness", String(image.score)]);
    const later = el("div", { class: "later" });
    const at = el("dd", { class: "image-id" }, "…");
    facts.replaceChildren(
      el("p", { class: "image-id" }, image.id),
      el("dl", {}, rows.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]), later, el("dt", {}, "place"), at),
      el("p", { class: "note" }, `${count(place + 1)} of ${count(size)}`, el("span", { class: "said", role: "status" })),
    );
    copy.hidden = show.hidden = true;
    const found = await ask("/api/image", { id: there.id }).catch((error) => ({ uri: null, error: error.message }));
    // Somebody went on meanwhile.
    if (image !== there) return;
    told = found;
    at.textContent = told.uri ?? told.error ?? "no file: the store has vectors";
    copy.hidden = !told.uri;
    show.hidden = !told.canShow;
    const more = [["label", told.label ? isolated(told.label) : null], ["tags", told.tags?.length ? listed(told.tags) : null]];
    later.replaceChildren(...more.flatMap(([name, value]) => (value ? [el("dt", {}, name), el("dd", {}, value)] : [])));
  }

  function original(image) {
    const shown = el("img", { src: address("/api/original", new URLSearchParams({ id: image.id })), alt: image.id });
    shown.addEventListener("error", () => shown.replaceWith(gone(image)));
    return shown;
  }

  function open(at, first, total) {
    [look, image, place, size] = [at, null, first, total];
    stage.replaceChildren();
    facts.replaceChildren();
    draw();
    dialog.showModal();
    close.focus();
  }

  return { open, close: () => dialog.open && dialog.close() };
})();

function groupLink(group) {
  if (!group) return "none";
  return el("a", { class: "cluster-link", href: `#/group/${group.id}`, on: { click: () => viewer.close() } }, isolated(title(group)));
}

/** What stands for an image without a picture: its id, and why; its path comes with the reason. */
function gone(image) {
  const reason = el("span", { class: "reason" }, "cannot be shown");
  const tile = el("span", { class: "placeholder gone", title: image.id }, el("span", { class: "what" }, image.id), reason);
  ask("/api/image", { id: image.id, why: 1 }).then(
    (told) => {
      reason.textContent = told.problem ?? "cannot be shown";
      if (told.uri) tile.firstChild.textContent = told.uri;
      tile.title = `${told.uri ?? image.id}\n${reason.textContent}`;
    },
    () => {},
  );
  return tile;
}

/** What stands for an image of a store without pictures: its id, and the nouns that are nearest to it. */
function wordTile(image) {
  const words = el("span", { class: "what" });
  wordsOf(image.id).then((found) => words.replaceChildren(...listed(found)), () => {});
  return el("span", { class: "placeholder worded", title: image.id }, words, el("span", { class: "reason" }, image.id));
}

/** The nouns of images: those that are asked for in one moment are asked for at once. */
const wordsOf = (() => {
  const known = new Map();
  let waiting = [];
  const most = 200;
  function send() {
    const batch = waiting;
    waiting = [];
    for (let start = 0; start < batch.length; start += most) {
      const part = batch.slice(start, start + most);
      post("/api/words", { images: part.map(({ id }) => id) }).then(
        ({ words }) => part.forEach(({ id, done }) => done(words[id] ?? [])),
        (error) => part.forEach(({ id, fail }) => (known.delete(id), fail(error))),
      );
    }
  }
  return (id) => {
    if (!known.has(id)) {
      known.set(
        id,
        new Promise((done, fail) => {
          if (!waiting.length) setTimeout(send, 30);
          waiting.push({ id, done, fail });
        }),
      );
    }
    return known.get(id);
  };
})();
