// A list with filters and, beside it, what is selected. Works by mouse and by keyboard; a page of the list at a time.
// The address of the page names what is filtered and selected, so that it can be sent to others.

const PAGE = 100;

/**
 * `items` are shown by `describe(item)` and `show(item, state)`; `controls` are selects: {name, label, choices(state),
 * test(item, value, state)}, where the first choice is the default. `compare(first, second, state)` orders.
 * `keyOf(item)` names an item in the address, by texts under names that no control has.
 */
function browser(root, { noun, items, controls, searchOf, describe, show, compare, keyOf }) {
  const state = { text: "" };
  const haystacks = [];
  let found = [];
  let selected = 0;
  let drawnPage = -1;
  let isRestored = false;

  const text = el("input", { type: "search", id: "filter-text", autocomplete: "off", spellcheck: "false", placeholder: "in any text of a case" });
  const selects = controls.map((control) => ({ ...control, select: el("select", { id: `filter-${control.name}`, change: () => apply() }) }));
  const reset = el("button", { type: "button", click: () => { clear(); apply(); text.focus(); } }, "Clear");
  const status = el("p", { role: "status", class: "found" });
  const list = el("ul", { role: "listbox", tabindex: "0", "aria-label": noun, id: "list", keydown: onListKey });
  const pages = el("nav", { class: "pages", "aria-label": "Pages of the list" });
  const detail = el("article", { class: "detail", tabindex: "-1", "aria-label": "What is selected", keydown: onDetailKey });

  const field = (label, control) => el("label", { class: "field" }, el("span", {}, label), control);
  root.append(
    el("form", { role: "search", class: "filters", "aria-label": "Filters", submit: (event) => event.preventDefault() },
      field("Text", text), selects.map(({ label, select }) => field(label, select)), reset),
    el("div", { class: "split" }, el("div", { class: "side" }, status, list, pages,
      el("p", { class: "dim keys" }, "/ search · ↑ ↓ or j k move · Enter read · Esc back")), detail),
  );

  let waiting = 0;
  text.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(apply, 120);
  });
  document.addEventListener("keydown", onKey);

  function clear() {
    text.value = "";
    for (const { select } of selects) select.selectedIndex = 0;
  }

  /** Offer what can be chosen now; a choice that is still there stays. */
  function offer(control) {
    const before = control.select.value;
    const choices = control.choices(state);
    control.select.replaceChildren(...choices.map(([value, label]) => el("option", { value }, label)));
    control.select.value = choices.some(([value]) => value === before) ? before : choices[0][0];
    state[control.name] = control.select.value;
    control.select.parentElement.hidden = choices.length < 2;
  }

  function apply() {
    const before = found[selected];
    state.text = text.value.toLowerCase();
    selects.forEach(offer);
    found = items.filter(isWanted);
    if (compare) found.sort((first, second) => compare(first, second, state));
    selected = Math.max(found.indexOf(before), 0);
    drawnPage = -1;
    reset.disabled = state.text === "" && selects.every(({ select }) => select.selectedIndex <= 0);
    status.textContent = found.length === items.length ? `${count(items.length)} ${noun}` : `${count(found.length)} of ${count(items.length)} ${noun}`;
    draw();
  }

  function isWanted(item) {
    if (!selects.every(({ name, test }) => !test || test(item, state[name], state))) return false;
    if (state.text === "") return true;
    haystacks[item] ??= searchOf(item);
    return haystacks[item].includes(state.text);
  }

  function draw() {
    const page = Math.floor(selected / PAGE);
    if (page !== drawnPage) drawPage(page);
    const start = page * PAGE;
    [...list.children].forEach((option, index) => option.setAttribute("aria-selected", String(start + index === selected)));
    const current = list.children[selected - start];
    if (current) list.setAttribute("aria-activedescendant", current.id);
    else list.removeAttribute("aria-activedescendant");
    scrollTo(current);
    detail.replaceChildren(...(found.length ? show(found[selected], state) : [el("p", { class: "empty" }, `No ${noun} under these filters.`)]).flat(Infinity).filter((node) => node !== null && node !== undefined));
    if (isRestored) keepAddress();
  }

  function keepAddress() {
    try {
      history.replaceState(null, "", address());
    } catch {
      // Browsers refuse too many at once, as of a key held down; the next one names the place.
    }
  }

  /** The fragment that names the filters and the selected item. */
  function address() {
    const named = new URLSearchParams();
    if (text.value) named.set("text", text.value);
    for (const { name, select } of selects) if (select.selectedIndex > 0) named.set(name, select.value);
    if (found.length) for (const [name, value] of Object.entries(keyOf(found[selected]))) named.set(name, value);
    return `#${root.id}?${named}`;
  }

  /** Filter and select as the address says, if it is about this list. */
  function restore() {
    const start = `#${root.id}?`;
    if (!location.hash.startsWith(start)) return;
    const named = new URLSearchParams(location.hash.slice(start.length));
    isRestored = false;
    text.value = named.get("text") ?? "";
    for (const control of selects) {
      offer(control);
      const value = named.get(control.name);
      const isOffered = [...control.select.options].some((option) => option.value === value);
      if (isOffered) control.select.value = value;
      else control.select.selectedIndex = 0;
      state[control.name] = control.select.value;
    }
    apply();
    const isNamed = (item) => Object.entries(keyOf(item)).every(([name, value]) => named.get(name) === String(value));
    const position = found.findIndex(isNamed);
    if (position >= 0) choose(position, false);
    isRestored = true;
    root.scrollIntoView();
  }

  function drawPage(page) {
    drawnPage = page;
    const start = page * PAGE;
    list.replaceChildren(...found.slice(start, start + PAGE).map((item, index) =>
      el("li", { role: "option", id: `option-${start + index}`, click: () => choose(start + index, true) }, describe(item, state))));
    const go = (label, to, name) => el("button", { type: "button", "aria-label": name, disabled: to < 0 || to * PAGE >= found.length ? "" : null, click: () => choose(to * PAGE, false) }, label);
    pages.replaceChildren(...(found.length > PAGE ? [go("‹", page - 1, "Previous page"),
      el("span", {}, `${count(start + 1)} – ${count(Math.min(start + PAGE, found.length))}`), go("›", page + 1, "Next page")] : []));
  }

  /** Scroll the list alone, never the page. */
  function scrollTo(option) {
    if (!option) return;
    if (option.offsetTop < list.scrollTop) list.scrollTop = option.offsetTop;
    const below = option.offsetTop + option.offsetHeight - list.clientHeight;
    if (below > list.scrollTop) list.scrollTop = below;
  }

  function choose(position, isClick) {
    if (!found.length) return;
    selected = Math.min(Math.max(position, 0), found.length - 1);
    draw();
    const isBelow = detail.getBoundingClientRect().top >= list.getBoundingClientRect().bottom;
    if (isClick && isBelow) detail.scrollIntoView();
  }

  function onListKey(event) {
    const to = { ArrowDown: selected + 1, ArrowUp: selected - 1, PageDown: selected + 10, PageUp: selected - 10, Home: 0, End: found.length - 1 }[event.key];
    if (event.key === "Enter") detail.focus();
    else if (to !== undefined) choose(to, false);
    else return;
    event.preventDefault();
  }

  function onDetailKey(event) {
    if (event.key === "Escape") list.focus();
  }

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    if (event.key === "/") text.focus();
    else if (event.key === "j") choose(selected + 1, false);
    else if (event.key === "k") choose(selected - 1, false);
    else return;
    event.preventDefault();
  }

  apply();
  restore();
  isRestored = true;
  window.addEventListener("hashchange", restore);
  return {
    /** Set filters by name, the others to their defaults. */
    filter(values) {
      clear();
      for (const control of selects) {
        offer(control);
        if (values[control.name] !== undefined) control.select.value = values[control.name];
        state[control.name] = control.select.value;
      }
      apply();
      root.scrollIntoView();
      list.focus({ preventScroll: true });
    },
    /** Show one item, whatever is filtered. */
    open(isWantedItem) {
      clear();
      apply();
      const position = found.findIndex(isWantedItem);
      if (position < 0) return false;
      root.scrollIntoView();
      choose(position, true);
      detail.focus({ preventScroll: true });
      return true;
    },
  };
}

/** Choices of the different values of a column, most of all cases first in their order; none where all are equal. */
function choicesOf(values, all) {
  const different = [...new Set(values)];
  return different.length > 1 ? [["", all], ...different.map((value) => [value, value])] : [["", all]];
}

/** The slice that a case is in, named as in the summary: without a value it is in that of null. */
const sliceOf = (name, column, row) => `${name}=${textOf(at(column, row) ?? "null")}`;

/** Metadata as slices: a choice for each value of each column that has few, and for every slice that is `named`. */
function sliceChoices(metadata, named = []) {
  const most = 60;
  const few = Object.entries(metadata).flatMap(([name, column]) => {
    const slices = [...new Set(column.map((_, row) => sliceOf(name, column, row)))].sort();
    return slices.length > 1 && slices.length <= most ? slices : [];
  });
  return [["", "all"], ...[...new Set([...few, ...named])].map((slice) => [slice, slice])];
}

const inSlice = (metadata, row, wanted) =>
  wanted === "" || Object.entries(metadata).some(([name, column]) => sliceOf(name, column, row) === wanted);

const metadataView = (metadata, row) => {
  const facts = Object.entries(metadata).filter(([, column]) => at(column, row) !== null);
  return facts.length ? el("ul", { class: "chips", "aria-label": "Metadata" }, facts.map(([name, column]) => el("li", {}, el("span", { class: "dim" }, `${name} `), textOf(at(column, row))))) : null;
};
