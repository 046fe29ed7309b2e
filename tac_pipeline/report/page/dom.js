// Elements from text nodes alone: nothing here ever reads markup, so no name can become any.

/** An element; `on` holds listeners, `style` custom properties, other keys are attributes (null and false: none). */
function el(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (name === "style") {
      for (const [property, text] of Object.entries(value)) element.style.setProperty(property, text);
    } else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A name or noun: its direction is its own, so that one from right to left disturbs nothing around it. */
function isolated(text) {
  return el("bdi", {}, text);
}

/** Several of them in one line. */
function listed(texts) {
  return texts.flatMap((text, place) => (place ? [", ", isolated(text)] : [isolated(text)]));
}

/** A list as a calm sentence's subject when there is nothing to show. */
function emptyState(title, text) {
  return el("div", { class: "empty" }, el("p", { class: "empty-title" }, title), text ? el("p", {}, text) : null);
}

/** Run a callback once for each element, when it comes near the visible part of the page. */
function whenNear(elements, callback) {
  const observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        observer.unobserve(entry.target);
        callback(entry.target);
      }
    },
    { rootMargin: "500px" },
  );
  for (const element of elements) observer.observe(element);
}

/** Tell people who listen to the page instead of looking at it. */
function announce(text) {
  document.getElementById("announce").textContent = text;
}

/** A small bar that shows a share, with its number in words for screen readers. */
function meter(share, title) {
  return el("span", { class: "meter", role: "img", "aria-label": title, title }, el("i", { style: { "--share": `${Math.round(100 * share)}%` } }));
}
