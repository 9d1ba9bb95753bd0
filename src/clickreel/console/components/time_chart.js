// A chart of one point a second on a canvas: lines or bars, hover to read, drag to choose a stretch of time.
const GRID = 4;
// Values that stand out of 19 in 20 by so much are cut.
const CUT_FROM = 8;
const pad = (value) => String(value).padStart(2, "0");
const short = (value) => {
  const size = Math.abs(value);
  const [divisor, unit] = size >= 1e9 ? [1e9, "G"] : size >= 1e6 ? [1e6, "M"] : size >= 1e4 ? [1e3, "k"] : [1, ""];
  return (value / divisor).toLocaleString("en-US", { maximumFractionDigits: divisor > 1 ? 1 : size >= 100 ? 0 : size >= 10 ? 1 : 2 }) + unit;
};

// The next higher whole number of a power of ten: its half is a figure that one can read.
const nice = (value) => {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 3, 4, 5, 6, 8, 10].find((step) => value <= step * power * 1.0001);
};

export default {
  template: `
    <figure class="tc">
      <canvas ref="canvas" role="img" :aria-label="label" tabindex="0"></canvas>
      <figcaption class="tc-caption" aria-hidden="true">{{ caption }}</figcaption>
    </figure>`,
  props: { series: Array, label: String, kind: String, height: Number, windowS: Number, local: Boolean, selectable: Boolean },
  data() {
    return { caption: "" };
  },
  created() {
    this.points = [];
    this.hover = null;
    this.drag = null;
    this.isLocal = this.local;
  },
  mounted() {
    const canvas = this.$refs.canvas;
    canvas.style.height = `${this.height}px`;
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(canvas);
    this.themes = new MutationObserver(() => this.draw());
    this.themes.observe(document.body, { attributes: true, attributeFilter: ["class"] });
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerleave", () => this.leave());
    if (this.selectable) {
      canvas.addEventListener("pointerdown", (event) => {
        canvas.setPointerCapture(event.pointerId);
        this.drag = [event.offsetX, event.offsetX];
      });
      canvas.addEventListener("pointerup", () => this.release());
    }
  },
  unmounted() {
    this.observer?.disconnect();
    this.themes?.disconnect();
  },
  methods: {
    set(points) {
      this.points = points;
      this.draw();
    },
    push(points) {
      this.points.push(...points);
      const oldest = this.points.length ? this.points[this.points.length - 1][0] - this.windowS * 1000 : 0;
      while (this.points.length && this.points[0][0] < oldest) this.points.shift();
      this.draw();
    },
    span(seconds) {
      this.windowS_ = seconds;
      this.draw();
    },
    zone(isLocal) {
      this.isLocal = isLocal;
      this.draw();
    },
    clock(ms) {
      const at = new Date(ms);
      return this.isLocal
        ? `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`
        : `${pad(at.getUTCHours())}:${pad(at.getUTCMinutes())}:${pad(at.getUTCSeconds())}`;
    },
    move(event) {
      this.hover = event.offsetX;
      if (this.drag) this.drag[1] = event.offsetX;
      this.draw();
    },
    leave() {
      this.hover = null;
      if (!this.drag) this.caption = "";
      this.draw();
    },
    release() {
      if (!this.drag) return;
      const [left, right] = [...this.drag].sort((a, b) => a - b);
      this.drag = null;
      if (right - left > 4) this.$emit("select", { from_ms: this.at(left), until_ms: this.at(right) });
      this.draw();
    },
    at(x) {
      return Math.round(this.from + ((x - this.left) / this.inner) * (this.until - this.from));
    },
    draw() {
      const canvas = this.$refs.canvas;
      if (!canvas || !canvas.clientWidth) return;
      const ratio = window.devicePixelRatio || 1;
      const [width, height] = [canvas.clientWidth, this.height];
      if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
        canvas.width = Math.round(width * ratio);
        canvas.height = Math.round(height * ratio);
      }
      const pen = canvas.getContext("2d");
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      pen.clearRect(0, 0, width, height);
      const style = getComputedStyle(canvas);
      const color = (name) => style.getPropertyValue(name).trim();
      const span = (this.windowS_ || this.windowS) * 1000;
      this.until = this.points.length ? this.points[this.points.length - 1][0] : Date.now();
      this.from = this.until - span;
      this.left = 48;
      this.inner = Math.max(1, width - this.left - 6);
      const bottom = height - 16;
      const points = this.points.filter((point) => point[0] >= this.from);
      const values = points.flatMap((point) => point.slice(1).filter((value) => value !== null && value !== undefined)).sort((a, b) => a - b);
      // Also of the first twenty points some stand out: the backfill's.
      const at = Math.max(0, Math.min(Math.floor(values.length * 0.95), values.length - 5));
      const [most, usual] = [values[values.length - 1] ?? 0, values[at] ?? 0];
      // A few seconds of a backfill would press an hour of stream flat: they are cut, and say how high they are.
      const isCut = usual > 0 && most > CUT_FROM * usual;
      const top = nice((isCut ? 2 * usual : most || 1) * 1.05); // a topic in which nothing comes has an axis too
      const x = (ms) => this.left + ((ms - this.from) / span) * this.inner;
      const y = (value) => bottom - (Math.min(value, top) / top) * (bottom - 4);
      pen.font = `11px ${style.fontFamily}`;
      pen.fillStyle = color("--ink-soft");
      pen.strokeStyle = color("--line");
      pen.lineWidth = 1;
      if (!points.length) {
        pen.textAlign = "center";
        pen.fillText("waiting for the first figures", width / 2, height / 2);
        return;
      }
      for (let step = 0; step <= GRID; step += 1) {
        const value = (top / GRID) * step;
        pen.beginPath();
        pen.moveTo(this.left, Math.round(y(value)) + 0.5);
        pen.lineTo(width - 6, Math.round(y(value)) + 0.5);
        pen.stroke();
        if (step % 2 === 0) {
          pen.textAlign = "right";
          pen.fillText(short(value), this.left - 6, y(value) + 4);
        }
      }
      pen.textAlign = "left";
      pen.fillText(this.clock(this.from), this.left, height - 3);
      pen.textAlign = "right";
      pen.fillText(this.clock(this.until), width - 6, height - 3);
      this.series.forEach((series, index) => {
        pen.strokeStyle = pen.fillStyle = color(series.color);
        pen.lineWidth = 2;
        pen.lineJoin = "round"; // a spike's point stays where it is drawn
        pen.setLineDash(series.dashed ? [5, 4] : []);
        if (this.kind === "bars") {
          const bar = Math.max(1, this.inner / (span / 1000) - 1);
          for (const point of points) pen.fillRect(x(point[0]) - bar, y(point[1 + index]), bar, bottom - y(point[1 + index]));
        } else {
          pen.beginPath();
          let open = false;
          for (const point of points) {
            const value = point[1 + index];
            if (value === null || value === undefined) open = false;
            else if (open) pen.lineTo(x(point[0]), y(value));
            else {
              pen.moveTo(x(point[0]), y(value));
              open = true;
            }
          }
          pen.stroke();
        }
      });
      pen.setLineDash([]);
      if (isCut) {
        const peak = points.find((point) => point.slice(1).includes(most));
        pen.fillStyle = color("--ink");
        pen.textAlign = x(peak[0]) > width / 2 ? "right" : "left";
        pen.fillText(pen.textAlign === "right" ? `up to ${short(most)} ▲ ` : ` ▲ up to ${short(most)}`, x(peak[0]), 13);
      }
      if (this.drag) {
        pen.globalAlpha = 0.2;
        pen.fillStyle = color("--accent");
        pen.fillRect(Math.min(...this.drag), 0, Math.abs(this.drag[1] - this.drag[0]), bottom);
        pen.globalAlpha = 1;
      }
      if (this.hover !== null && points.length) this.read(pen, points, x, bottom, color);
    },
    read(pen, points, x, bottom, color) {
      const wanted = this.at(this.hover);
      const nearest = points.reduce((best, point) => (Math.abs(point[0] - wanted) < Math.abs(best[0] - wanted) ? point : best));
      pen.strokeStyle = color("--ink-soft");
      pen.lineWidth = 1;
      pen.beginPath();
      pen.moveTo(x(nearest[0]), 0);
      pen.lineTo(x(nearest[0]), bottom);
      pen.stroke();
      const values = this.series.map((series, index) => {
        const value = nearest[1 + index];
        return `${series.name} ${value === null || value === undefined ? "–" : short(value)}${series.unit ? ` ${series.unit}` : ""}`;
      });
      this.caption = `${this.clock(nearest[0])}  ${values.join("  ")}`;
    },
  },
};
