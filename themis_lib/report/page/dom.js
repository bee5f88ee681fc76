// Text goes into the page as text nodes and attributes alone: whatever a model wrote, it is never read as HTML.

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/** A button that copies what `textOf` returns. */
function copyButton(label, textOf) {
  const button = el("button", { type: "button", click: async () => {
    button.textContent = (await copied(textOf())) ? "Copied" : "Not copied";
    setTimeout(() => { button.textContent = label; }, 1500);
  } }, label);
  return button;
}

/** Whether a text was copied. A page in a file may lack the clipboard, or be refused it. */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = el("textarea", {});
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

for (const placeholder of document.querySelectorAll("[data-copy]")) {
  const source = document.getElementById(placeholder.dataset.copy);
  const button = copyButton(placeholder.textContent, () => source.textContent);
  button.dataset.copy = placeholder.dataset.copy;
  placeholder.replaceWith(button);
}

/** The page's data: JSON, compressed, in base64. */
async function unpack() {
  const text = atob(document.getElementById("data").textContent);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at += 1) bytes[at] = text.charCodeAt(at);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

/** A value of a column; columns without any value are left out of the data. */
const at = (column, row) => column?.[row] ?? null;

/** What stands in place of an answer that is the whole output. */
const SAME = 1;

/** The parsed answer of a sample. */
const answerOf = (side, row) => at(at(side.answers.value, row) === SAME ? side.outputs.output : side.answers.value, row);

/** A value as text: a string as it is, a marked one without its marks. */
const textOf = (value) => (value === null ? "" : typeof value === "object" ? value.t : String(value));

/** Texts to search in, as one. */
const searchable = (values) => values.map((value) => (value === SAME ? "" : textOf(value))).join("\n").toLowerCase();

const isCut = (value) => value !== null && typeof value === "object" && value.n !== undefined;

/** A JSON text as a value, or null where it was cut or is none. */
function parsed(value) {
  if (value === null || isCut(value)) return null;
  try {
    return JSON.parse(textOf(value));
  } catch {
    return null;
  }
}

/** JSON with indents, its numbers and strings as they stand: read as values, long numbers would lose digits. */
function indented(json) {
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  return json.replace(/"[^"\\]*(?:\\.[^"\\]*)*"|\[\s*\]|\{\s*\}|[[\]{},:]|\s+/g, (token) => {
    if (token === "[" || token === "{") {
      depth += 1;
      return token + line();
    }
    if (token === "]" || token === "}") {
      depth -= 1;
      return line() + token;
    }
    if (token === ",") return token + line();
    return token === ":" ? ": " : token.trim();
  });
}

/** A text as people read it: JSON with indents. */
function readable(value, isJson) {
  const json = isJson ? parsed(value) : null;
  return json !== null && typeof json === "object" ? indented(textOf(value)) : textOf(value);
}

const count = (number) => number.toLocaleString("en-US");

/** A score with the digits that it has, up to four behind the point. */
function scoreText(score) {
  if (score === null) return "–";
  if (score !== 0 && Math.abs(score) < 0.0001) return score.toPrecision(3);
  return Number.isInteger(score) ? count(score) : score.toLocaleString("en-US", { maximumFractionDigits: 4 });
}

/** How a score looks: only 0, 1 and what lies between have a colour. */
function scoreClass(score) {
  if (score === null) return "none";
  if (score === 1) return "good";
  if (score === 0) return "bad";
  return score > 0 && score < 1 ? "mid" : "plain";
}
