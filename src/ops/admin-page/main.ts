import { read, shared, write } from '../../web/model/storage.ts';
import { type ClusterAnswer, SAMPLES_MAX, type Sample } from '../cluster-view.ts';
import { Charts } from './charts.ts';
import { element, showEvents, showNodes, showSilence, showState, showTiles } from './view.ts';

const ASK_EVERY_MS = 1_000;
const THEME = 'parley-admin-theme';

applyTheme(read(shared, THEME));
const charts = new Charts(element('charts'));
let samples: Sample[] = [];
let minutes = 3;
let now = Date.now();

async function ask(): Promise<void> {
  try {
    const after = samples.at(-1)?.at ?? 0;
    const response = await fetch(`/admin/cluster.json?after=${after}`, {
      signal: AbortSignal.timeout(3_000),
    });
    const answer = (await response.json()) as ClusterAnswer;
    now = answer.at;
    // After the clock was set back, the history begins anew.
    samples = [...(after > now ? [] : samples), ...answer.samples].slice(-SAMPLES_MAX);
    showState(answer);
    showTiles(samples.at(-1), answer.nodes);
    showNodes(answer.nodes);
    showEvents(answer.events);
    charts.show(samples, minutes, now);
  } catch {
    showSilence();
  }
  setTimeout(ask, ASK_EVERY_MS);
}

for (const button of document.querySelectorAll<HTMLButtonElement>('[data-minutes]')) {
  button.addEventListener('click', () => {
    minutes = Number(button.dataset['minutes']);
    for (const other of document.querySelectorAll('[data-minutes]'))
      other.setAttribute('aria-pressed', String(other === button));
    charts.show(samples, minutes, now);
  });
}

element('theme').addEventListener('click', () => {
  const theme = isDark() ? 'light' : 'dark';
  write(shared, THEME, theme);
  applyTheme(theme);
  redraw();
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);

function applyTheme(theme: string | null): void {
  if (theme !== null) document.documentElement.dataset['theme'] = theme;
}

function isDark(): boolean {
  const { theme } = document.documentElement.dataset;
  return theme === undefined ? matchMedia('(prefers-color-scheme: dark)').matches : theme === 'dark';
}

function redraw(): void {
  charts.rebuild();
  charts.show(samples, minutes, now);
}

void ask();
