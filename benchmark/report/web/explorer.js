// ---- the explorer of states

const ROW_HEIGHT = 34; // of the list, as in the style sheet
const BOXES = 7;
const SET_ONLY = "right by set, not exact: the same objects in other words or another order";
const EXTRA_ROWS = 5; // rows drawn above and below the visible ones

class Explorer {
  constructor(data) {
    this.data = data;
    this.ids = new Map(data.states.map(([id], index) => [id, index]));
    this.numops = data.states.map((state) => [...state[4]].map((digit) => parseInt(digit, 36)));
    // One value per query of each run, by the scores set and exact: 1 right, 0 wrong, 2 not asked.
    const outcomes = (column) => data.answers.map((answers) => {
      const values = new Uint8Array(data.states.length * BOXES).fill(2);
      answers.forEach((answer, state) => {
        if (answer) for (let box = 0; box < BOXES; box++) values[state * BOXES + box] = Number(answer[column][box]);
      });
      return values;
    });
    this.outcomes = outcomes(1);
    this.exact = outcomes(3);
    this.strips = new Map();
    this.matching = [];
    this.matches = new Uint8Array(data.states.length * BOXES);
    this.state = -1;
    this.box = 0;
    this.controls();
    this.events();
    this.follow();
  }

  controls() {
    const { runs } = this.data;
    const most = Math.max(...this.numops.flat());
    this.at = Object.fromEntries(["filters", "run", "other", "outcome", "numops", "sort", "word", "shown", "count", "unknown", "list", "rows", "state", "heads"].map((id) => [id, document.getElementById(id)]));
    const options = () => runs.map((label, index) => element("option", { value: index }, ...escapeInvisible(label)));
    this.at.run.append(...options());
    this.at.other.append(...options());
    this.at.other.value = String(runs.length > 1 ? 1 : 0);
    this.at.other.options[this.at.other.selectedIndex].defaultSelected = true;
    document.querySelector(".two").hidden = runs.length < 2;
    if (runs.length < 2) for (const option of document.querySelectorAll("[data-two]")) option.remove();
    const types = element("optgroup", { label: "type of error" });
    types.append(...Object.values(this.data.errors).map((title) => element("option", { value: title }, title)));
    this.at.outcome.append(types);
    for (let n = 0; n <= most; n++)
      this.at.numops.append(element("label", {}, element("input", { type: "checkbox", name: "numops", value: n }), String(n)));
    runs.forEach((label, index) => this.at.shown.append(
      element("label", {}, element("input", { type: "checkbox", name: "shown", value: index, ...(index < 6 ? { checked: "" } : {}) }), ...escapeInvisible(label))));
    this.labels = runs.map(inAddress);
    const values = (select) => new Set([...select.options].map((option) => option.value));
    this.choices = {
      state: this.ids, box: new Set([...Array(BOXES).keys()].map(String)),
      run: new Set(this.labels), other: new Set(this.labels), shown: new Set(this.labels),
      outcome: values(this.at.outcome), sort: values(this.at.sort),
      changes: new Set([...Array(most + 1).keys()].map(String)), word: null,
    };
    const { state, box, ...defaults } = this.view();
    this.defaults = defaults;
  }

  events() {
    const update = () => {
      this.at.unknown.replaceChildren();
      this.filter();
      this.moveOn();
    };
    this.at.filters.addEventListener("input", update);
    this.at.filters.addEventListener("reset", () => setTimeout(update));
    this.at.filters.addEventListener("submit", (event) => event.preventDefault());
    this.at.list.addEventListener("scroll", () => this.rows(), { passive: true });
    addEventListener("resize", () => {
      this.heads();
      this.rows();
    });
    this.at.rows.addEventListener("click", (event) => {
      const item = event.target.closest(".item");
      if (!item) return;
      this.choose(Number(item.dataset.state));
      this.scrollToState();
    });
    this.at.list.addEventListener("keydown", (event) => this.listKey(event));
    document.addEventListener("keydown", (event) => this.pageKey(event));
    addEventListener("hashchange", () => this.follow());
  }

  // On a narrow screen (as in the style sheet) the state is below the list, off the screen.
  scrollToState() {
    if (!matchMedia("(max-width: 820px)").matches) return;
    const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.at.state.scrollIntoView({ block: "nearest", behavior: reducedMotion ? "instant" : "smooth" });
  }

  listKey(event) {
    const current = this.matching.indexOf(this.state);
    const page = Math.max(1, Math.floor(this.at.list.clientHeight / ROW_HEIGHT) - 1);
    const last = this.matching.length - 1;
    const steps = { ArrowDown: current + 1, ArrowUp: current - 1, PageDown: current + page, PageUp: current - page, Home: 0, End: last };
    if (event.key === "Enter") this.at.state.focus();
    else if (event.key in steps && last >= 0) {
      event.preventDefault();
      this.choose(this.matching[Math.min(last, Math.max(0, steps[event.key]))]);
    }
  }

  pageKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    if (event.key === "/") {
      event.preventDefault();
      this.at.word.focus();
    } else if (/^[0-6]$/.test(event.key) && this.matching.length) this.choose(this.state, Number(event.key));
  }

  // The shown state, the filters and the runs, as in an address.
  view() {
    const { run, other, outcome, sort, word } = this.at;
    const id = this.matching.length ? this.data.states[this.state]?.[0] : undefined;
    return {
      state: id, box: id && String(this.box), run: this.labels[run.value], outcome: outcome.value,
      other: this.labels[other.value], changes: this.checked("numops").map(String), sort: sort.value,
      word: word.value, shown: this.checked("shown").map((index) => this.labels[index]),
    };
  }

  // Set the filters and the runs to those of an address.
  setControls(view) {
    const { run, other, outcome, sort, word, filters } = this.at;
    run.value = this.labels.indexOf(view.run);
    other.value = this.labels.indexOf(view.other);
    outcome.value = view.outcome;
    sort.value = view.sort;
    word.value = view.word;
    for (const input of filters.querySelectorAll("[name=numops]")) input.checked = view.changes.includes(input.value);
    for (const input of filters.querySelectorAll("[name=shown]")) input.checked = view.shown.includes(this.labels[input.value]);
  }

  checked(name) {
    return [...this.at.filters.querySelectorAll(`[name=${name}]:checked`)].map((box) => Number(box.value));
  }

  // Find the matching queries and the states that have one.
  filter() {
    const { states, words } = this.data;
    const first = this.outcomes[this.at.run.value], exact = this.exact[this.at.run.value], other = this.outcomes[this.at.other.value];
    const numops = new Set(this.checked("numops")), outcome = this.at.outcome.value;
    const word = this.at.word.value.trim().toLowerCase();
    const objects = word && new Set(words.flatMap((name, index) => (name.toLowerCase().includes(word) ? [index] : [])));
    const passes = {
      any: () => true,
      right: (at) => first[at] === 1,
      wrong: (at) => first[at] === 0,
      ...this.typeFilters(),
      "set-only": (at) => first[at] === 1 && exact[at] === 0,
      flipped: (at) => first[at] + other[at] === 1,
      gained: (at) => first[at] === 0 && other[at] === 1,
      lost: (at) => first[at] === 1 && other[at] === 0,
    }[outcome];
    this.at.other.disabled = !["flipped", "gained", "lost"].includes(outcome);
    this.shown = this.checked("shown");
    this.matching = [];
    this.matches.fill(0);
    let queries = 0, asked = 0;
    states.forEach((state, index) => {
      if (!this.data.answers[this.at.run.value][index]) return; // the run has no such state
      asked += 1;
      let anyMatch = false;
      for (let box = 0; box < BOXES; box++) {
        const at = index * BOXES + box;
        const match = passes(at) && (!numops.size || numops.has(this.numops[index][box]));
        this.matches[at] = Number(match);
        if (match) anyMatch = true;
      }
      if (!anyMatch || (objects && !this.mentions(state, index, objects, word))) return;
      for (let box = 0; box < BOXES; box++) queries += this.matches[index * BOXES + box];
      this.matching.push(index);
    });
    this.order();
    this.at.count.textContent = `${this.matching.length} of ${asked} states, ${queries} queries`;
    this.at.rows.style.height = `${this.matching.length * ROW_HEIGHT}px`;
    this.at.list.scrollTop = 0;
    this.heads();
    this.drawn = "";
    this.rows();
  }

  // A filter for each type of error: the queries of the run that have it.
  typeFilters() {
    const answers = this.data.answers[this.at.run.value];
    return Object.fromEntries(Object.entries(this.data.errors).map(([code, title]) =>
      [title, (at) => answers[Math.floor(at / BOXES)]?.[4][at % BOXES] === code]));
  }

  // After the filters have changed: keep the state and the box if they match, else show the first.
  moveOn() {
    if (this.matching.length) {
      if (!this.matching.includes(this.state)) this.state = this.matching[0];
      if (!this.matches[this.state * BOXES + this.box]) this.box = this.firstMatch(this.state);
      this.rows();
      this.draw();
    } else this.drawNone();
    this.writeAddress();
  }

  firstMatch(state) {
    return Math.max(0, [...Array(BOXES).keys()].findIndex((box) => this.matches[state * BOXES + box]));
  }

  writeAddress() {
    history.replaceState(null, "", formatAddress(this.view(), this.defaults));
  }

  // Draw the headings of the strips, and make the list wide enough for them.
  heads() {
    const { list } = this.at, split = list.closest(".split").clientWidth;
    const room = matchMedia("(max-width: 820px)").matches ? split : 0.42 * innerWidth;
    const strip = Math.floor(Math.max(48, Math.min(144, (room - 178) / this.shown.length - 10)));
    list.parentElement.style.setProperty("--strip", `${strip}px`);
    list.style.width = `${178 + (strip + 10) * this.shown.length}px`;
    this.at.heads.replaceChildren(element("span", { class: "name" }, "State"), element("span", { class: "many" }, "Length"),
      ...this.shown.map((run) => element("span", { class: "run", title: this.data.runs[run] }, ...escapeInvisible(this.data.runs[run]))));
  }

  mentions(state, index, objects, word) {
    if (state[1].some((contents) => contents.some((object) => objects.has(object)))) return true;
    if (state[2].some(([sentence]) => sentence.toLowerCase().includes(word))) return true;
    return this.shown.some((run) => this.data.answers[run][index]?.[2].some((contents) => contents?.some((object) => objects.has(object))));
  }

  order() {
    const { states } = this.data, run = this.outcomes[this.at.run.value];
    const sum = (state, figure) => {
      let total = 0;
      for (let at = state * BOXES; at < (state + 1) * BOXES; at++) total += figure(at);
      return total;
    };
    const keys = {
      length: (state) => states[state][2].length,
      wrong: (state) => sum(state, (at) => Number(run[at] === 0)),
      disagreement: (state) => sum(state, (at) => {
        const answered = this.shown.map((shown) => this.outcomes[shown][at]).filter((outcome) => outcome < 2);
        const right = answered.reduce((total, outcome) => total + outcome, 0);
        return Math.min(right, answered.length - right);
      }),
    };
    const key = keys[this.at.sort.value];
    if (!key) return;
    const value = new Map(this.matching.map((state) => [state, key(state)]));
    this.matching.sort((a, b) => value.get(b) - value.get(a) || a - b);
  }

  // Only the visible rows are in the page.
  rows() {
    const { scrollTop, clientHeight } = this.at.list;
    const first = Math.max(0, Math.floor(scrollTop / ROW_HEIGHT) - EXTRA_ROWS);
    const last = Math.min(this.matching.length, Math.ceil((scrollTop + clientHeight) / ROW_HEIGHT) + EXTRA_ROWS);
    const drawn = `${first} ${last} ${this.state}`;
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const items = [];
    for (let row = first; row < last; row++) items.push(this.item(row));
    this.at.rows.replaceChildren(...items);
    const row = this.matching.indexOf(this.state);
    if (row >= first && row < last) this.at.list.setAttribute("aria-activedescendant", `item-${this.state}`);
    else this.at.list.removeAttribute("aria-activedescendant"); // it must refer to an existing row
  }

  item(row) {
    const index = this.matching[row], [id, , operations] = this.data.states[index];
    const item = element("div", { class: "item", role: "option", id: `item-${index}`, "data-state": index, "aria-selected": index === this.state, "aria-posinset": row + 1, "aria-setsize": this.matching.length },
      element("span", { class: "name" }, id.slice(0, 7)), element("span", { class: "many" }, String(operations.length)));
    item.style.top = `${row * ROW_HEIGHT}px`;
    const rights = [];
    for (const run of this.shown) {
      const outcomes = this.outcomes[run].subarray(index * BOXES, (index + 1) * BOXES);
      rights.push(outcomes.reduce((total, outcome) => total + Number(outcome === 1), 0));
      item.append(this.strip(outcomes, index));
    }
    item.setAttribute("aria-label", `State ${id.slice(0, 7)}, length ${operations.length}, right: ${rights.map((n) => `${n} of ${BOXES}`).join(", ")}`);
    return item;
  }

  // One strip per run, one bar per box. Many are equal, and cloning is faster than creating.
  strip(outcomes, index) {
    const kinds = [...outcomes].map((outcome, box) => `${"wrn"[outcome]}${this.matches[index * BOXES + box] ? " m" : ""}`);
    const key = kinds.join();
    if (!this.strips.has(key))
      this.strips.set(key, element("span", { class: "strip", "aria-hidden": "true" }, ...kinds.map((kind) => element("i", { class: kind }))));
    return this.strips.get(key).cloneNode(true);
  }

  // Selecting a state writes its address; following an address selects the state.
  choose(state, box) {
    this.show(state, box ?? this.firstMatch(state));
    this.writeAddress();
  }

  follow() {
    const address = parseAddress(location.hash);
    if (!address && this.state >= 0) return; // a link to a section
    const { view, unknown } = checkAddress(address ?? {}, this.choices);
    this.setControls({ ...this.defaults, ...view });
    this.filter();
    this.at.unknown.replaceChildren(...unknown.map((part) =>
      element("p", {}, "The address of the page is not of this report: it has no ", ...escapeInvisible(part), ".")));
    const state = this.ids.get(view.state) ?? this.matching[0];
    if (state === undefined) this.drawNone();
    else this.show(state, Number(view.box ?? (view.state ? 0 : this.firstMatch(state))));
    if (address) document.getElementById("explorer").scrollIntoView();
  }

  show(state, box) {
    this.state = state;
    this.box = box;
    const row = this.matching.indexOf(state), { list } = this.at;
    if (row >= 0 && (row * ROW_HEIGHT < list.scrollTop || (row + 1) * ROW_HEIGHT > list.scrollTop + list.clientHeight))
      list.scrollTop = row * ROW_HEIGHT - list.clientHeight / 2;
    this.rows();
    this.draw();
  }

  drawNone() {
    this.at.state.replaceChildren(element("p", { class: "none" }, "No state matches the filters."));
  }

  draw() {
    const index = this.state, [id, initial, operations] = this.data.states[index];
    const link = element("a", { href: formatAddress({ ...this.view(), state: id, box: String(this.box) }, this.defaults) }, id.slice(0, 7));
    const note = this.matching.includes(index) ? [] : [element("p", { class: "note" }, "This state does not match the filters.")];
    const open = new Set([...this.at.state.querySelectorAll("details[open]")].map((details) => details.dataset.run));
    this.at.state.replaceChildren(
      element("h3", {}, "State ", link, `, length ${operations.length}`), ...note,
      element("h4", {}, "Initial contents"), this.worlds(initial),
      element("h4", {}, "Operations"), this.operations(operations),
      element("h4", {}, "Final contents"), hintAtScrolling(element("div", { class: "scroll" }, this.boxes(index))), this.legend(index),
      ...this.shown.map((run) => this.text(run, index, open)));
  }

  worlds(initial) {
    return element("ul", { class: "worlds" }, ...initial.map((objects, box) =>
      element("li", box === this.box ? { class: "concerns" } : {}, `Box ${box}: `, this.objects(objects))));
  }

  objects(numbers) {
    return numbers.length ? numbers.map((number) => this.data.words[number]).join(", ") : "nothing";
  }

  operations(operations) {
    if (!operations.length) return element("p", { class: "none" }, "no operations");
    return element("ol", { class: "operations" }, ...operations.map(([sentence, boxes]) => {
      const name = `Box ${this.box}`;
      if (!boxes.includes(this.box)) return element("li", {}, sentence);
      const [before, after] = sentence.split(name);
      return element("li", { class: "concerns" }, before, element("b", {}, name), after);
    }));
  }

  boxes(index) {
    const gold = this.data.states[index][3];
    const head = element("tr", {}, ...["Box", "Changes", "Gold"].map((name) => element("th", { scope: "col" }, name)),
      ...this.shown.map((run) => element("th", { scope: "col" }, ...escapeInvisible(this.data.runs[run]))));
    const rows = gold.map((objects, box) => {
      const at = index * BOXES + box;
      const row = element("tr", { class: `${box === this.box ? "chosen" : ""}${this.matches[at] ? " match" : ""}` },
        element("th", { scope: "row" }, element("button", { type: "button", "aria-pressed": box === this.box }, `Box ${box}`)),
        element("td", {}, String(this.numops[index][box])), element("td", { class: "gold" }, ...this.gold(objects)),
        ...this.shown.map((run) => this.prediction(run, index, box, objects)));
      row.addEventListener("click", () => {
        this.choose(index, box);
        this.at.state.querySelectorAll(".boxes button")[box].focus();
      });
      return row;
    });
    return element("table", { class: "boxes" }, element("thead", {}, head), element("tbody", {}, ...rows));
  }

  // Explain the mark of a box that is right by set only, if the state has one.
  legend(index) {
    const marked = this.shown.some((run) => this.exact[run].subarray(index * BOXES, (index + 1) * BOXES)
      .some((exact, box) => exact === 0 && this.outcomes[run][index * BOXES + box] === 1));
    return element("p", { class: "note", ...(marked ? {} : { hidden: "" }) }, `\u2248 ${SET_ONLY}`);
  }

  gold(objects) {
    if (!objects.length) return [element("span", { class: "none" }, "nothing")];
    return objects.map((number) => element("span", { class: "object" }, ...escapeInvisible(this.data.words[number])));
  }

  // Extra objects are underlined after a plus; missing ones are struck out after a minus.
  prediction(run, index, box, gold) {
    const answer = this.data.answers[run][index];
    if (!answer) return element("td", { class: "none" }, "not asked");
    const predicted = answer[2][box], right = answer[1][box] === "1";
    const setOnly = right && answer[3][box] === "0";
    const cell = element("td", { class: right ? `right${setOnly ? " set-only" : ""}` : "wrong" });
    cell.append(element("span", { title: setOnly ? SET_ONLY : right ? "right" : "wrong" }, right ? (setOnly ? "\u2248 " : "\u2713 ") : "\u2717 "));
    const type = right ? [] : [element("small", { class: "type" }, this.data.errors[answer[4][box]])];
    if (predicted === null) {
      cell.append(element("span", { class: "none" }, "no answer"));
      return cell;
    }
    if (!predicted.length) cell.append(element("span", { class: "none object" }, "nothing"));
    for (const number of predicted) {
      const extra = !gold.includes(number);
      cell.append(element(extra ? "ins" : "span", { class: "object" }, ...(extra ? ["+"] : []), ...escapeInvisible(this.data.words[number])));
    }
    for (const number of gold)
      if (!predicted.includes(number)) cell.append(element("span", { class: "missing" }, "\u2212", element("del", {}, ...escapeInvisible(this.data.words[number]))));
    cell.append(...type);
    return cell;
  }

  text(run, index, open) {
    const answer = this.data.answers[run][index];
    const details = element("details", { "data-run": run, ...(open.has(String(run)) ? { open: "" } : {}) },
      element("summary", {}, "Text of ", ...escapeInvisible(this.data.runs[run])));
    details.append(element("div", { class: "answer", dir: "auto" }, ...(answer ? escapeInvisible(this.data.texts[answer[0]]) : ["not asked"])));
    return details;
  }
}

const embedded = document.getElementById("data");
if (embedded) new Explorer(JSON.parse(embedded.textContent));
