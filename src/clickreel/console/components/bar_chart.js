// Named bars beside each other's figures: a list to a screen reader, and no information in the colour alone.
export default {
  template: `
    <ul class="bars" :aria-label="label">
      <li v-for="(bar, place) in bars" :key="place">
        <span class="bars-name" :title="bar.name">{{ bar.name }}</span>
        <span class="bars-track" aria-hidden="true"><span class="bars-bar" :style="{width: share(bar) + '%', background: 'var(' + color + ')'}"></span></span>
        <span class="bars-value">{{ bar.text }}</span>
      </li>
      <li v-if="!bars.length" class="note">{{ said }}</li>
    </ul>`,
  props: { label: String, color: String },
  data() { return { bars: [], said: "reading …" }; },
  methods: {
    set(bars) { this.bars = bars; this.said = "Nothing in this stretch of time yet."; },
    share(bar) {
      const most = Math.max(...this.bars.map((one) => one.value), 0);
      return most > 0 ? (100 * Math.max(0, bar.value)) / most : 0;
    },
  },
};
