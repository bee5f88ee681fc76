// One case of one run as nodes: prompt, expected output, and for each sample output, answer, scores and what led there.

const LONG = 1200;

/** A case: `side` holds the columns of its run, `about` how the run asks, where its tables are, and what is chosen. */
function caseView(side, row, about) {
  const results = Object.entries(side.results);
  const samples = Array.from({ length: about.samples }, (_, sample) => sample);
  const chosen = at(side.results[about.metric]?.sample_index, row) ?? 0;
  const place = (table) => `${about.location}, table ${table}, case ${at(side.cases.case_id, row)}`;
  return [
    results.some(([, columns]) => columns.score || columns.error) ? resultsView(results, row, place) : null,
    about.promptClosed
      ? more("Prompt", promptView(about, at(side.cases.input, row), place("cases")))
      : part("Prompt", promptView(about, at(side.cases.input, row), place("cases"))),
    about.hideExpected ? null : block("Expected output", at(side.cases.expected_output, row), place("cases")),
    samples.map((sample) => {
      const view = sampleView(side, row * about.samples + sample, (table) => `${place(table)}, sample ${sample}`, about.images);
      if (!view.length) return null;
      if (samples.length === 1) return el("div", { class: "sample" }, view);
      const head = sampleHead(side, row * about.samples + sample, sample, about.metric);
      return el("details", { class: "sample", open: sample === chosen ? "" : null }, head, view);
    }),
  ];
}

function resultsView(results, row, place) {
  const lines = results.map(([metric, columns]) => {
    const sample = at(columns.sample_index, row);
    const how = [at(columns.reducer, row), sample === null ? null : `sample ${sample}`].filter(Boolean).join(", ");
    const reason = at(columns.error, row);
    return el(
      "tr", {},
      el("th", { scope: "row" }, metric || "no metric"),
      el("td", {}, mark(at(columns.score, row))),
      el("td", {}, el("span", { class: "dim" }, how), reason === null ? null : el("p", { class: "error" }, textOf(reason)),
        detailsView(at(columns.details, row), place("results"))),
    );
  });
  return el("table", { class: "scores", "aria-label": "Scores of the case" }, el("tbody", {}, lines));
}

const mark = (score) => el("span", { class: `mark ${scoreClass(score)}` }, score === null ? "no score" : scoreText(score));

function sampleHead(side, row, sample, metric) {
  const score = at(side.scores[metric]?.score, row);
  const value = answerOf(side, row);
  return el(
    "summary", {}, el("b", {}, `Sample ${sample}`), " ", side.scores[metric] ? mark(score) : null,
    el("span", { class: "snippet" }, value === null ? "" : ` ${textOf(value).slice(0, 120)}`),
  );
}

function sampleView(side, row, place, images) {
  const { outputs, answers } = side;
  const nodes = [
    failure("No output", at(outputs.error, row)),
    reasoningView(outputs, row, place("outputs")),
    block("Output", at(outputs.output, row), place("outputs")),
    factsView(outputs, row),
    failure("No answer", at(answers.error, row), at(outputs.error, row)),
    at(answers.value, row) === SAME ? el("p", { class: "dim facts" }, "The whole output is the answer.")
      : block("Answer as parsed", at(answers.value, row), place("answers"), at(answers.format, row)),
    scoresView(side, row, place("scores")),
    Object.entries(side.verdicts).map(([judge, columns]) => verdictView(judge, columns, row, place("verdicts"))),
    tracesView(outputs, row, place("outputs"), images),
  ];
  return nodes.flat().filter((node) => node !== null);
}

/** What the model thought before it answered, folded. */
function reasoningView(outputs, row, place) {
  const thought = at(outputs.reasoning, row);
  return thought === null ? null : more("Reasoning", block(null, thought, place));
}

function factsView(outputs, row) {
  const tokens = (name, what) => (at(outputs[name], row) === null ? null : `${count(at(outputs[name], row))} ${what}`);
  const latency = at(outputs.latency_s, row);
  const facts = [
    at(outputs.finish_reason, row) === null ? null : `finish reason ${at(outputs.finish_reason, row)}`,
    tokens("input_tokens", "input tokens"), tokens("output_tokens", "output tokens"),
    tokens("cached_tokens", "of them cached"), tokens("cache_write_tokens", "written to the cache"), tokens("reasoning_tokens", "of reasoning"),
    latency === null ? null : durationText(latency),
    at(outputs.seed, row) === null ? null : `seed ${at(outputs.seed, row)}`,
  ].filter(Boolean);
  return facts.length ? el("p", { class: "dim facts" }, facts.join(" · ")) : null;
}

/** The dollars of one call. */
function callDollars(outputs, place, prices) {
  const tokens = (name) => at(outputs[name], place) ?? 0;
  const [read, cached, written] = ["input_tokens", "cached_tokens", "cache_write_tokens"].map(tokens);
  const thought = Math.min(tokens("reasoning_tokens"), tokens("output_tokens"));
  const price = prices.tiers.findLast((tier) => read > tier.above) ?? prices;
  return (Math.max(read - cached - written, 0) * price.input + cached * price.cached + written * price.written
    + (tokens("output_tokens") - thought) * price.output + thought * price.reasoning) / 1e6;
}

const durationText = (seconds) => (seconds < 1 ? `${Number((1000 * seconds).toPrecision(3))} ms` : `${seconds.toPrecision(3)} s`);

/** A case with everything that the page has of it, as JSON to paste elsewhere. */
function caseJson(side, row, samples) {
  const object = (entries) => `{${entries.map(([name, json]) => `${JSON.stringify(name)}:${json}`).join(",")}}`;
  const entriesOf = (columns, place) => Object.entries(columns).flatMap(([name, column]) => {
    const value = at(column, place);
    return value === null ? [] : [[name, jsonOf(value)]];
  });
  const byName = (parts, place) => object(Object.entries(parts).map(([name, columns]) => [name, object(entriesOf(columns, place))]));
  const each = Array.from({ length: samples }, (_, sample) => {
    const place = row * samples + sample;
    const value = answerOf(side, place);
    const answer = entriesOf(side.answers, place).map(([name, json]) => [name, name === "value" ? jsonOf(value) : json]);
    return object([["output", object(entriesOf(side.outputs, place))], ["answer", object(answer)],
      ["scores", byName(side.scores, place)], ["verdicts", byName(side.verdicts, place)]]);
  });
  return indented(object([...entriesOf(side.cases, row), ["metadata", object(entriesOf(side.metadata, row))],
    ["results", byName(side.results, row)], ["samples", `[${each.join(",")}]`]]));
}

/** A value of a column as JSON: a JSON text as it stands, since long numbers would lose digits; of a cut one its text. */
const jsonOf = (value) => (typeof value === "object" && value.j && !isCut(value) ? value.t : JSON.stringify(typeof value === "object" ? value.t : value));

function scoresView(side, row, place) {
  const lines = Object.entries(side.scores).map(([metric, columns]) =>
    el(
      "tr", {}, el("th", { scope: "row" }, metric), el("td", {}, mark(at(columns.score, row))),
      el("td", {}, at(columns.error, row) === null ? null : el("p", { class: "error" }, textOf(at(columns.error, row))),
        detailsView(at(columns.details, row), place)),
    ));
  return lines.length ? el("table", { class: "scores", "aria-label": "Scores of the sample" }, el("tbody", {}, lines)) : null;
}

/** Why a score is what it is: short facts in a line, anything else as JSON. */
function detailsView(value, place) {
  if (value === null) return null;
  const facts = parsed(value);
  const short = facts && Object.values(facts).every((fact) => fact === null || typeof fact !== "object") && textOf(value).length < 300;
  if (!short) return more("Details", block(null, value, place, null, true));
  return el("p", { class: "reasons" }, Object.entries(facts).map(([name, fact]) => [el("span", { class: "dim" }, `${name} `), `${fact}  `]));
}

function verdictView(judge, columns, row, place) {
  if (at(columns.output, row) === null && at(columns.error, row) === null) return null;
  return more(
    `Verdict of ${judge}`, failure("No verdict", at(columns.error, row)), reasoningView(columns, row, place), block("Said", at(columns.output, row), place),
    factsView(columns, row), tracesView(columns, row, place),
  );
}

/** What a generator kept of its way to the output. */
function tracesView(columns, row, place, images) {
  const trace = parsed(at(columns.trace, row));
  const conversation = parsed(at(columns.conversation, row));
  const rest = ["artifacts", "transport"].map((name) => [name, at(columns[name], row)]);
  return [
    Array.isArray(conversation) ? conversationView(conversation, place, images) : null,
    Array.isArray(trace) ? more(`Trace, ${trace.length} steps`, el("ol", { class: "trace" }, trace.map((step) => stepView(step, place)))) : null,
    ...["trace", "conversation"].map((name) => (isCut(at(columns[name], row)) ? more(name, block(null, at(columns[name], row), place)) : null)),
    ...rest.map(([name, value]) => (value === null ? null : more(name, block(null, value, place, null, true)))),
  ];
}

/** A conversation of several turns is open: it is what was evaluated. */
function conversationView(conversation, place, images) {
  const view = more(`Conversation, ${conversation.length} messages`, turnsView(conversation, place, images));
  view.open = conversation.filter((turn) => turn.role === "user").length > 1;
  return view;
}

function stepView(step, place) {
  const shown = ["input", "output", "metadata"].filter((name) => step[name] !== null && step[name] !== undefined && JSON.stringify(step[name]) !== "{}");
  return el("li", {}, el("b", {}, String(step.name)), " ", el("span", { class: "dim" }, String(step.event ?? "")),
    shown.map((name) => block(name, asText(step[name]), place)));
}

const asText = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));

/** The messages that the prompt spec makes of an input. */
function promptView(about, input, place) {
  const { prompt, images } = about;
  const given = input !== null && typeof input === "object" && input.j ? parsed(input) : null;
  if (prompt.script && given !== null && Array.isArray(given.turns)) return scriptView(prompt, given, place);
  const isConversation = Array.isArray(given) && given.length > 0 && given.every((turn) => turn !== null && typeof turn === "object" && "role" in turn);
  const asked = isParts(given) ? given : textOf(input);
  const turns = isConversation ? given.map((turn) => ({ ...turn })) : [{ role: "user", content: asked }];
  const last = turns.findLast((turn) => turn.role === "user");
  if (last && typeof last.content === "string") last.content = [prompt.before, last.content, prompt.after].filter(Boolean).join("\n\n");
  else if (last && Array.isArray(last.content)) last.content = [textPart(prompt.before), ...last.content, textPart(prompt.after)].filter(Boolean);
  if (prompt.system) turns.unshift({ role: "system", content: prompt.system });
  return [turnsView(turns, place, images), isCut(input) ? cutNote(input, place) : null];
}

const textPart = (text) => (text ? { type: "text", text } : null);
const isPart = (item) => item !== null && typeof item === "object" && typeof item.type === "string" && !("role" in item);
const isParts = (value) => Array.isArray(value) && value.length > 0 && value.every(isPart);

/** What a message says: a text, or its parts. Small images are drawn, other media are named. */
function contentView(content, label, images) {
  if (!isParts(content)) return pre(asText(content), label);
  return content.map((item) => {
    if (typeof item.text === "string") return pre(item.text, label);
    const source = imageSource(item, images);
    const name = mediaName(item);
    return source === null ? pre(name ?? asText(item), label) : el("img", { class: "medium", src: source, alt: name });
  });
}

/** The data of an image that is on the page. What is elsewhere is never fetched. */
function imageSource(item, images) {
  const held = [images?.[item.sha256], item.url, item.image_url?.url, item.image_url];
  return held.find((url) => typeof url === "string" && DRAWN.test(url)) ?? null;
}

const DRAWN = /^data:image\/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+$/;

/** An image, audio or file in brackets; null for anything else. */
function mediaName(item) {
  const kind = item.type.match(/image|audio|file/)?.[0];
  if (!kind) return null;
  const held = [item.url, item.image_url?.url, item.image_url, item.file?.file_data, item.file_data].find((url) => typeof url === "string");
  const size = item.bytes === undefined ? null : sizeText(item.bytes);
  const place = held?.startsWith("data:") ? held.slice(5, held.search(/[;,]/)) : held;
  return `[${[kind, size, item.media_type, item.name ?? item.file?.filename, place].filter(Boolean).join(" ")}]`;
}

const sizeText = (bytes) => (bytes < 1000 ? `${bytes} B` : bytes < 1e6 ? `${Math.round(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

/** The turns of a scripted user, each between what the prompt spec puts around it. */
function scriptView(prompt, script, place) {
  const around = (said) => [prompt.before, asText(said), prompt.after].filter(Boolean).join("\n\n");
  const asked = script.turns.map((turn) => ({ role: "user", content: around(turn?.content ?? turn) }));
  const turns = [...(Array.isArray(script.messages) ? script.messages : []), ...asked];
  if (prompt.system) turns.unshift({ role: "system", content: prompt.system });
  return [turnsView(turns, place)];
}

function turnsView(turns, place, images) {
  return turns.map((turn) =>
    el("div", { class: "turn" }, el("span", { class: "role" }, [turn.role, turn.name].filter(Boolean).join(" ")),
      turn.content === null || turn.content === undefined || turn.content === "" ? null : saidView(turn, images),
      turn.tool_calls ? more(callsLabel(turn.tool_calls), pre(JSON.stringify(turn.tool_calls, null, 2), "tool calls")) : null));
}

/** What somebody says is open, what a tool returned is folded. */
function saidView(turn, images) {
  const said = contentView(turn.content, turn.role, images);
  return turn.role === "tool" ? more("Returned", said) : said;
}

const callsLabel = (calls) => `Calls ${Array.isArray(calls) ? calls.map((call) => call?.function?.name ?? call?.name ?? "a tool").join(", ") : "a tool"}`;

const part = (label, ...children) => el("section", { class: "part" }, el("h4", {}, label), children);
const more = (label, ...children) => el("details", { class: "more" }, el("summary", {}, label), children);
/** The reason why there is nothing, unless it is an earlier stage's, with that stage's name before it. */
const failure = (label, reason, earlier = null) =>
  reason === null || (earlier !== null && textOf(reason).endsWith(`: ${textOf(earlier)}`)) ? null : part(label, el("p", { class: "error" }, textOf(reason)));

/** A labelled text, or nothing where there is none. */
function block(label, value, place, kind = null, isJson = false) {
  if (value === null) return null;
  const json = isJson || (typeof value === "object" && Boolean(value.j));
  const note = kind ?? (json && label ? "JSON" : null);
  return el("section", { class: "part" },
    label === null ? null : el("h4", {}, label, note === null ? null : el("span", { class: "kind" }, ` ${note}`)),
    pre(readable(value, json), label ?? "text"), isCut(value) ? cutNote(value, place) : null);
}

const cutNote = (value, place) =>
  el("p", { class: "dim cut" }, `The first ${count([...value.t].length)} of ${count(value.n)} characters; all of them are in ${place}.`);

/** A text as it stands; a long one scrolls, and can be reached by keyboard. */
function pre(text, label) {
  const scrolls = text.length > LONG ? { tabindex: "0", role: "region", "aria-label": label } : {};
  return el("pre", scrolls, text === "" ? el("span", { class: "dim" }, "(empty)") : text);
}
