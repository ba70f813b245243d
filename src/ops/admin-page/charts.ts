import uPlot from 'uplot';
import type { Sample } from '../cluster-view.ts';
import { clock, latency, number } from './format.ts';

type Line = {
  readonly label: string;
  readonly color: string;
  readonly fill?: boolean;
  value(sample: Sample): number | null;
};
type Plan = {
  readonly title: string;
  format(value: number): string;
  /** The scale's maximum is at least this, so that small variations don't look large. */
  readonly atLeast: number;
  readonly lines: readonly Line[];
};

const PLANS: readonly Plan[] = [
  {
    title: 'Messages per second',
    format: number,
    atLeast: 10,
    lines: [
      { label: 'delivered', color: '--chart-1', fill: true, value: (s) => s.delivered },
      { label: 'committed', color: '--chart-2', value: (s) => s.committed },
    ],
  },
  {
    title: 'Delivery time',
    format: latency,
    atLeast: 10,
    lines: [
      { label: 'p99', color: '--chart-3', fill: true, value: (s) => s.delivery99 },
      { label: 'median', color: '--chart-1', value: (s) => s.delivery50 },
    ],
  },
  {
    title: 'Sockets',
    format: number,
    atLeast: 10,
    lines: [{ label: 'open', color: '--chart-2', fill: true, value: (s) => s.sockets }],
  },
  {
    title: 'Store, p99',
    format: latency,
    atLeast: 10,
    lines: [
      { label: 'wait for commit', color: '--chart-3', fill: true, value: (s) => s.lag99 },
      { label: 'commit', color: '--chart-2', value: (s) => s.commit99 },
    ],
  },
];

const HEIGHT = 190;

/** The charts, with a shared cursor. */
export class Charts {
  readonly #place: HTMLElement;
  #plots: { plot: uPlot; plan: Plan; box: HTMLElement; legend: HTMLElement[] }[] = [];

  constructor(place: HTMLElement) {
    this.#place = place;
    this.rebuild();
    new ResizeObserver(() => {
      for (const { plot, box } of this.#plots) plot.setSize({ width: box.clientWidth, height: HEIGHT });
    }).observe(place);
  }

  /** Redraws everything, since a canvas does not follow a change of colours. */
  rebuild(): void {
    for (const { plot } of this.#plots) plot.destroy();
    this.#plots = [];
    this.#place.replaceChildren();
    for (const plan of PLANS) this.#add(plan);
  }

  show(samples: readonly Sample[], minutes: number, now: number): void {
    const times = samples.map(({ at }) => at / 1000);
    for (const { plot, plan, legend } of this.#plots) {
      plot.setData([times, ...plan.lines.map(({ value }) => samples.map(value))] as uPlot.AlignedData, false);
      plot.setScale('x', { min: now / 1000 - minutes * 60, max: now / 1000 });
      const last = samples.at(-1);
      for (const [i, { value }] of plan.lines.entries()) {
        const latest = last === undefined ? null : value(last);
        (legend[i] as HTMLElement).textContent = latest === null ? '–' : plan.format(latest);
      }
    }
  }

  #add(plan: Plan): void {
    const panel = document.createElement('figure');
    panel.className = 'panel chart';
    const caption = document.createElement('figcaption');
    const title = document.createElement('h2');
    title.textContent = plan.title;
    caption.append(title);
    const legend = plan.lines.map(({ label, color }) => {
      const item = document.createElement('span');
      item.className = 'key';
      const swatch = document.createElement('i');
      swatch.style.background = resolve(color);
      const value = document.createElement('b');
      item.append(swatch, label, value);
      caption.append(item);
      return value;
    });
    const box = document.createElement('div');
    panel.append(caption, box);
    this.#place.append(panel);
    this.#plots.push({ plot: draw(plan, box), plan, box, legend });
  }
}

function draw(plan: Plan, box: HTMLElement): uPlot {
  const [soft, line] = [resolve('--soft'), resolve('--line')];
  const axis = { stroke: soft, font: '11px system-ui', ticks: { show: false } };
  const options: uPlot.Options = {
    width: box.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    padding: [8, 6, 0, 0],
    cursor: { sync: { key: 'cluster' }, y: false, points: { size: 6 }, drag: { x: false, y: false } },
    scales: { y: { range: (_, __, max) => [0, Math.max(plan.atLeast, (max ?? 0) * 1.15)] } },
    axes: [
      { ...axis, grid: { show: false }, space: 80, size: 26, values: (_, ticks) => ticks.map(time) },
      {
        ...axis,
        grid: { stroke: line, width: 1 },
        size: 56,
        space: 36,
        values: (_, ticks) => ticks.map((tick) => (tick === 0 ? '0' : plan.format(tick))),
      },
    ],
    series: [
      {},
      ...plan.lines.map(({ label, color, fill }): uPlot.Series => {
        const stroke = resolve(color);
        const under = resolve(`${color}-under`);
        return { label, stroke, width: 1.75, points: { show: false }, ...(fill && { fill: under }) };
      }),
    ],
    plugins: [readout(plan)],
  };
  return new uPlot(options, [[], ...plan.lines.map(() => [])] as uPlot.AlignedData, box);
}

/** Shows the values at the cursor. */
function readout(plan: Plan): uPlot.Plugin {
  const tip = document.createElement('div');
  tip.className = 'tip';
  tip.hidden = true;
  return {
    hooks: {
      init: (plot) => {
        plot.over.append(tip);
      },
      setCursor: (plot) => {
        const { idx, left = -1 } = plot.cursor;
        tip.hidden = idx === null || idx === undefined || left < 0;
        if (tip.hidden || idx === null || idx === undefined) return;
        const values = plan.lines.map(({ label }, i) => {
          const value = plot.data[i + 1]?.[idx];
          return `${label} ${typeof value === 'number' ? plan.format(value) : '–'}`;
        });
        tip.textContent = `${time(plot.data[0][idx] as number)}  ${values.join('  ')}`;
        const flip = left > plot.over.clientWidth / 2;
        const beside = flip ? left - 8 - tip.offsetWidth : left + 8;
        // A narrow chart has no room for it beside the cursor, and it must not make the page wider.
        const room = plot.over.clientWidth - tip.offsetWidth;
        tip.style.transform = `translateX(${Math.max(0, Math.min(beside, room))}px)`;
      },
    },
  };
}

const time = (seconds: number): string => clock(seconds * 1000);

/** A style sheet's colour for the canvas, with `light-dark()` resolved. */
function resolve(variable: string): string {
  const probe = document.createElement('i');
  probe.style.color = `var(${variable})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
