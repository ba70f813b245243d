import type { ClusterAnswer, ClusterEvent, NodeView, Sample } from '../cluster-view.ts';
import { problemOf } from '../node-summary.ts';
import { bytes, clock, duration, latency, number, percent } from './format.ts';

export const element = (id: string): HTMLElement => document.getElementById(id) as HTMLElement;

type Child = Node | string;

function make(tag: string, className: string, ...children: readonly Child[]): HTMLElement {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

export function showState({ problems, nodes }: ClusterAnswer): void {
  const state = element('state');
  const well = problems.length === 0;
  state.className = `state ${well ? 'good' : 'bad'}`;
  state.textContent = well ? 'All well' : problems.length === 1 ? '1 problem' : `${problems.length} problems`;
  document.title = well ? 'Parley cluster' : `(${problems.length}) Parley cluster`;
  const list = element('problems');
  list.hidden = well;
  const named = (problem: string): boolean => nodes.some(({ node }) => problem.startsWith(node));
  list.replaceChildren(
    ...problems.map((problem) => make('li', '', named(problem) ? problem : sentence(problem))),
  );
  const leader = nodes.find(({ writer, lost }) => writer === 'leader' && !lost);
  element('writer').replaceChildren(
    make('span', 'soft', 'Writer '),
    make('b', '', leader?.node ?? 'none heard'),
  );
}

/** The page itself can't reach its node. */
export function showSilence(): void {
  const state = element('state');
  state.className = 'state bad';
  state.textContent = 'This node does not answer';
  document.title = '(!) Parley cluster';
}

export function showTiles(last: Sample | undefined, nodes: readonly NodeView[]): void {
  if (last === undefined) return;
  const living = nodes.filter(({ lost }) => !lost);
  const workers = living.flatMap((node) => node.workers);
  const ready = workers.filter(({ upMs }) => upMs !== null).length;
  const tile = (title: string, value: string, note: string): HTMLElement =>
    make('div', 'tile', make('h2', '', title), make('p', 'value', value), make('p', 'soft', note));
  element('tiles').replaceChildren(
    tile('Sockets', number(last.sockets), `on ${count(living.filter(hasGateway).length, 'gateway node')}`),
    tile('Sent', `${number(Math.round(last.committed))}/s`, 'committed to disk'),
    tile('Delivered', `${number(Math.round(last.delivered))}/s`, 'written to sockets'),
    tile('Delivery', latency(last.delivery50), `p99 ${latency(last.delivery99)}`),
    tile('Queue', number(last.pending), `commit p99 ${latency(last.commit99)}`),
    tile('Workers', `${ready}/${workers.length}`, `on ${count(living.length, 'node')}`),
    tile('CPU', number(last.cpu), `cores, ${bytes(last.memoryBytes)}`),
  );
}

export function showNodes(nodes: readonly NodeView[]): void {
  const most = Math.max(1, ...nodes.map(({ now }) => now.sockets));
  element('nodes').replaceChildren(...nodes.map((node) => row(node, most)));
}

function row(node: NodeView, mostSockets: number): HTMLElement {
  const { lost, now } = node;
  const problem = problemOf(node);
  const state = lost ? 'lost' : problem === undefined ? 'good' : 'bad';
  const name = make(
    'td',
    '',
    make('i', `dot ${state}`),
    make('b', '', node.node),
    make('span', 'tag', node.role),
  );
  if (node.writer === 'leader' && !lost) name.append(make('span', 'tag strong', 'writes'));
  if (node.writer === 'standby') name.append(make('span', 'tag', 'stands by'));
  const note = lost ? `silent for ${duration(node.silentMs)}` : problem;
  if (note !== undefined) name.append(make('span', 'note', sentence(note)));
  const cell = (text: string): HTMLElement => make('td', 'number', lost ? '–' : text);
  const messages = node.role === 'store' ? now.committed : now.delivered;
  return make(
    'tr',
    lost ? 'lost' : '',
    name,
    make('td', '', lost ? '–' : duration(node.upMs)),
    make('td', 'workers', ...(lost ? [] : node.workers.map(worker))),
    sockets(node, mostSockets),
    cell(number(Math.round(messages))),
    cell(latency(node.role === 'store' ? now.lag99 : now.delivery99)),
    cell(hasGateway(node) ? number(now.pending) : '–'),
    cell(percent(now.cpu)),
    cell(bytes(now.memoryBytes)),
    cell(number(node.restarts)),
  );
}

function worker({ name, upMs, pid, sockets: open }: NodeView['workers'][number]): HTMLElement {
  const chip = make(
    'span',
    `chip ${upMs === null ? 'bad' : 'good'}`,
    upMs === null ? `${name} not ready` : name,
  );
  const up = upMs === null ? 'not ready' : `up ${duration(upMs)}`;
  chip.title = `${name}: ${up}, pid ${pid ?? '–'}${name.startsWith('gateway') ? `, ${number(open)} sockets` : ''}`;
  return chip;
}

function sockets(node: NodeView, most: number): HTMLElement {
  if (node.lost || !hasGateway(node)) return make('td', 'number', '–');
  const bar = make('meter', '') as HTMLMeterElement;
  bar.max = most;
  bar.value = node.now.sockets;
  return make('td', 'number', bar, number(node.now.sockets));
}

const hasGateway = ({ role }: NodeView): boolean => role !== 'store';

const count = (many: number, what: string): string => `${number(many)} ${what}${many === 1 ? '' : 's'}`;

export function showEvents(events: readonly ClusterEvent[]): void {
  const items = events.map(({ at, level, text, times }) =>
    make(
      'li',
      level,
      make('time', '', clock(at)),
      make('span', '', times > 1 ? `${text} (${times} times)` : text),
    ),
  );
  element('events').replaceChildren(
    ...(items.length > 0 ? items : [make('li', 'soft', 'Nothing has happened yet.')]),
  );
}

const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
