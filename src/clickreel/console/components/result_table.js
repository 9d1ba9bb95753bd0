// The rows of a result; cells are text and stay text.
export default {
  template: `
    <div class="scroll-x result" tabindex="0" role="region" :aria-label="label">
      <table class="tbl"><thead><tr><th v-for="(name, at) in columns" scope="col" :class="{num: numeric[at]}">{{ name }}</th></tr></thead>
        <tbody><tr v-for="(row, place) in rows" :key="place"><td v-for="(cell, at) in row" :class="{num: numeric[at]}">{{ cell }}</td></tr></tbody>
      </table>
    </div>`,
  props: { label: String },
  data() { return { columns: [], numeric: [], rows: [] }; },
  methods: {
    set(columns, numeric, rows) { this.columns = columns; this.numeric = numeric; this.rows = rows; },
  },
};
