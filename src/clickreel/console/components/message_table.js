// Rows of a topic, newest first. Plain DOM, and only for the rows that can be seen: to lay out and paint 500 rows anew at each frame took more
// than a processor at 1,000 a second. Lines whose rows have gone show the next ones: no element is made once the table is full.
// Text goes in by textContent only: the bytes of messages are hostile.
const PENDING_MAX = 10000;
const ROW_PX = 27; // as the style sheet has it
const BEYOND = 4; // rows above and below what is seen, so that scrolling finds them there
// Columns stay where they are while rows go by.
const WIDTHS = {
  "": 30, time: 103, partition: 70, offset: 72, key: 92, event_id: 94, event_ts: 166, user_id: 80, session_id: 86, film_id: 60,
  event_type: 118, page: 126, position: 66, device: 58, referrer: 116, value: 480,
};
// A cell that cuts its text is a clip of its own, and all are made anew with each frame. So only those are that need it.
const CHARACTER_PX = 7.6;
const pad = (value, width = 2) => String(value).padStart(width, "0");

export default {
  template: `
    <div class="mt" role="region" :aria-label="label">
      <div class="mt-scroll" tabindex="0" ref="scroll">
        <table class="mt-table" ref="table">
          <colgroup ref="columns"></colgroup>
          <thead><tr ref="head"></tr></thead>
          <tbody ref="body"></tbody>
        </table>
      </div>
      <div class="mt-empty" v-if="empty">{{ emptyText }}</div>
    </div>`,
  props: { columns: Array, label: String, rowsMax: Number, emptyText: String, numeric: Array, first: Array },
  data() {
    return { empty: true };
  },
  created() {
    this.rows = [];
    this.pending = [];
    this.paused = false;
    this.lost = 0;
    this.hidden = new Set();
    this.isLocal = clickreel.isLocal();
  },
  mounted() {
    this.drawHead();
    this.$refs.scroll.addEventListener("scroll", () => this.draw(), { passive: true });
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.$refs.scroll);
    this.prepend(this.first ?? []);
    setTimeout(() => window.socket.on(`rows-${this.$el.id}`, (message) => this.take(message))); // the framework connects once all is mounted
    // What is opened is what stood under the pointer when it was pressed: the line may show another row by now.
    this.$refs.body.addEventListener("pointerdown", (event) => (this.pressed = event.target.closest("tr")?.row));
    this.$refs.body.addEventListener("click", (event) => this.choose(this.pressed ?? event.target.closest("tr")?.row));
    this.$refs.body.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.choose(event.target.closest("tr")?.row);
    });
  },
  unmounted() {
    this.observer?.disconnect();
    window.socket?.off(`rows-${this.$el.id}`);
  },
  methods: {
    // As the framework does with its own messages: one that comes again after a lost connection is known by its number.
    take(message) {
      if (message._id < window.nextMessageId) return;
      window.nextMessageId = message._id + 1;
      this[message.method](message.rows);
    },
    choose(row) {
      this.pressed = null;
      if (row) this.$emit("choose", { partition: row.p, offset: row.o });
    },
    shown() {
      return this.columns.map((name, index) => ({ name, index })).filter((column) => !this.hidden.has(column.name));
    },
    drawHead() {
      const shown = this.shown().map((column) => column.name);
      const names = ["", "time", "partition", "offset", "key", ...(shown.length ? shown : ["value"])];
      this.$refs.head.replaceChildren(
        ...names.map((name) => {
          const cell = document.createElement("th");
          cell.scope = "col";
          cell.textContent = name || "contract";
          if (!name) cell.className = "mt-narrow";
          if (["partition", "offset", ...this.numeric].includes(name)) cell.className = "mt-num";
          return cell;
        }),
      );
      this.$refs.columns.replaceChildren(
        ...names.map((name) => {
          const column = document.createElement("col");
          if (name !== "value" || shown.length) column.style.width = `${WIDTHS[name] ?? 110}px`; // a value takes what is left
          return column;
        }),
      );
      this.$refs.table.style.minWidth = `${names.reduce((sum, name) => sum + (WIDTHS[name] ?? 110), 0)}px`;
    },
    // Put the rows that can be seen into the table; those that stand there already stay, with the focus they may have.
    draw() {
      const [scroll, table, body] = [this.$refs.scroll, this.$refs.table, this.$refs.body];
      const first = Math.max(0, Math.min(Math.floor(scroll.scrollTop / ROW_PX) - BEYOND, this.rows.length - 1));
      const shown = this.rows.slice(first, first + Math.ceil(scroll.clientHeight / ROW_PX) + 2 * BEYOND);
      const wanted = new Set(shown);
      const [standing, spare] = [new Map(), []];
      for (const line of body.children) {
        if (wanted.has(line.row)) standing.set(line.row, line);
        else spare.push(line);
      }
      let at = body.firstElementChild;
      let used = 0;
      for (const row of shown) {
        const line = standing.get(row) ?? this.fill(spare[used++] ?? this.blank(), row);
        if (line === at) at = at.nextElementSibling;
        else body.insertBefore(line, at);
      }
      for (const line of spare.slice(used)) line.remove();
      table.style.marginTop = `${first * ROW_PX}px`;
      table.style.marginBottom = `${(this.rows.length - first - shown.length) * ROW_PX}px`;
      table.setAttribute("aria-rowcount", String(this.rows.length + 1));
      this.empty = this.rows.length === 0;
    },
    time(ms) {
      if (ms < 0) return "";
      const at = new Date(ms);
      const parts = this.isLocal
        ? [at.getHours(), at.getMinutes(), at.getSeconds(), at.getMilliseconds()]
        : [at.getUTCHours(), at.getUTCMinutes(), at.getUTCSeconds(), at.getUTCMilliseconds()];
      return `${pad(parts[0])}:${pad(parts[1])}:${pad(parts[2])}.${pad(parts[3], 3)}`;
    },
    blank() {
      const line = document.createElement("tr");
      line.tabIndex = 0;
      return line;
    },
    // Let a line show a row; what it shows already is left alone.
    fill(line, row) {
      if (line === document.activeElement) line.blur(); // who would open this line means another message
      line.row = row;
      const isBad = row.ok === false;
      this.change(line, "className", isBad ? "mt-bad" : "");
      const cells = [
        [isBad ? "✗" : row.ok ? "✓" : "", "", isBad ? "mt-no" : "mt-ok", row.why ?? ""],
        [this.time(row.t), "time", "mt-mono"],
        [String(row.p), "partition", "mt-num"],
        [row.o.toLocaleString("en-US"), "offset", "mt-num"],
        [row.k ?? "null", "key", row.k === null ? "mt-null" : "mt-mono"],
      ];
      const columns = this.shown();
      this.read(row);
      if (row.c) for (const column of columns) {
        const [text, isId] = [row.c[column.index] ?? "", column.name === "event_id"];
        cells.push([text, column.name, isId ? "mt-id" : row.n && row.n[column.index] ? "mt-num" : "", isId ? text : ""]);
      }
      else cells.push([row.v ?? "null", "value", row.v === null ? "mt-null" : "mt-raw mt-mono mt-cut"]);
      while (line.cells.length > cells.length) line.lastElementChild.remove();
      while (line.cells.length < cells.length) line.insertCell().append("");
      cells.forEach((cell, place) => this.put(line.cells[place], ...cell));
      line.lastElementChild.colSpan = row.c ? 1 : Math.max(1, columns.length);
      line.firstElementChild.setAttribute("aria-label", isBad ? row.why : row.ok ? "keeps the contract" : "no verdict");
      return line;
    },
    // A good event comes as its text alone, and is read when its row is seen.
    read(row) {
      if (row.c || !row.f) return;
      const event = JSON.parse(row.v);
      row.c = this.columns.map((name) => String(event[name] ?? ""));
      row.n = this.columns.map((name) => typeof event[name] === "number");
    },
    put(cell, text, column, name, title = "") {
      const isLong = text.length * CHARACTER_PX > (WIDTHS[column] ?? 110) - 12;
      this.change(cell.firstChild, "data", text);
      this.change(cell, "className", isLong && !name.endsWith("mt-cut") ? `${name} mt-cut`.trim() : name);
      this.change(cell, "title", title);
    },
    change(node, property, value) {
      if (node[property] !== value) node[property] = value;
    },
    prepend(rows) {
      // Partitions come one after the other; a person wants time.
      const fresh = [...rows].sort((a, b) => a.t - b.t).slice(-this.rowsMax).reverse();
      this.rows = fresh.concat(this.rows).slice(0, this.rowsMax);
      // Who has scrolled down reads on where he is.
      if (this.$refs.scroll.scrollTop > 0) this.$refs.scroll.scrollTop += fresh.length * ROW_PX;
      this.draw();
    },
    push(rows) {
      if (!this.paused) {
        this.prepend(rows);
      } else {
        this.pending.push(...rows);
        const over = this.pending.length - PENDING_MAX;
        if (over > 0) {
          this.pending.splice(0, over);
          this.lost += over;
        }
        this.$emit("pending", { waiting: this.pending.length, lost: this.lost });
      }
      // How long after their records' timestamps the rows stand on the page; read by whoever measures.
      if (rows.length) this.$el.dataset.ages = rows.map((row) => Date.now() - row.t).join(" ");
      this.$emit("painted");
    },
    set(rows) {
      this.pending = [];
      this.rows = [];
      this.$refs.scroll.scrollTop = 0;
      this.prepend(rows);
    },
    pause(paused) {
      this.paused = paused;
      if (paused) return;
      const waiting = this.pending;
      this.pending = [];
      this.lost = 0;
      this.prepend(waiting);
    },
    redraw() {
      this.drawHead();
      this.$refs.body.replaceChildren();
      this.draw();
    },
    hide(names) {
      this.hidden = new Set(names);
      this.redraw();
    },
    zone(isLocal) {
      this.isLocal = isLocal;
      this.redraw();
    },
    download(form, name) {
      const raw = (row) => ({ partition: row.p, offset: row.o, timestamp_ms: row.t, key: row.k, value: row.v, valid: row.ok });
      const quote = (value) => {
        // A spreadsheet takes =, +, - and @ for formulas.
        const text = String(value ?? "");
        const safe = /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
        return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
      };
      const fields = ["partition", "offset", "timestamp_ms", "key", "value", "valid"];
      const lines =
        form === "csv"
          ? [fields.join(","), ...this.rows.map((row) => fields.map((field) => quote(raw(row)[field])).join(","))]
          : this.rows.map((row) => JSON.stringify(raw(row)));
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: form === "csv" ? "text/csv" : "application/x-ndjson" }));
      link.download = `${name}.${form === "csv" ? "csv" : "jsonl"}`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    },
  },
};
