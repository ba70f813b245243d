/** Words are English, as the app is; the order of day and month and the clock follow the reader's own settings. */
const reader = navigator.language;
const english = /^en\b/.test(reader) ? reader : 'en-GB';

const clock = new Intl.DateTimeFormat(reader, { hour: '2-digit', minute: '2-digit' });
const weekday = new Intl.DateTimeFormat(english, { weekday: 'long' });
const dayAndMonth = new Intl.DateTimeFormat(english, { weekday: 'long', day: 'numeric', month: 'long' });
const fullDate = new Intl.DateTimeFormat(english, { day: 'numeric', month: 'long', year: 'numeric' });
const shortDate = new Intl.DateTimeFormat(reader, { day: '2-digit', month: '2-digit', year: '2-digit' });
const fullTime = new Intl.DateTimeFormat(english, { dateStyle: 'full', timeStyle: 'short' });

const parsed = new WeakMap<object, number>();

/** Milliseconds since 1970 of a message's `timestamp`, which is UTC without saying so. */
export function timeOf(message: { readonly timestamp: string }): number {
  let ms = parsed.get(message);
  if (ms === undefined) {
    ms = Date.parse(`${message.timestamp.replace(' ', 'T')}Z`);
    // One that is no time must not take the whole screen with it.
    if (Number.isNaN(ms)) ms = 0;
    parsed.set(message, ms);
  }
  return ms;
}

/** The day that was last asked for: rows are asked for in order, thousands of one day. */
let lastDay = { number: 0, from: 0, upto: 0 };

/** A number that is the same for two times of one local day, and one more for the day after. */
export function dayOf(ms: number): number {
  if (ms >= lastDay.from && ms < lastDay.upto) return lastDay.number;
  const date = new Date(ms);
  const [year, month, day] = [date.getFullYear(), date.getMonth(), date.getDate()];
  lastDay = {
    number: Date.UTC(year, month, day) / 86_400_000,
    from: new Date(year, month, day).getTime(),
    upto: new Date(year, month, day + 1).getTime(),
  };
  return lastDay.number;
}

export const clockTime = (ms: number): string => clock.format(ms);
export const spokenTime = (ms: number): string => fullTime.format(ms);

/** For the line between two days. */
export function dayLabel(ms: number, now: number): string {
  const age = dayOf(now) - dayOf(ms);
  if (age === 0) return 'Today';
  if (age === 1) return 'Yesterday';
  if (age > 1 && age < 7) return weekday.format(ms);
  const sameYear = new Date(ms).getFullYear() === new Date(now).getFullYear();
  return (sameYear ? dayAndMonth : fullDate).format(ms);
}

/** For the conversation list: as short as it can be. */
export function listTime(ms: number, now: number): string {
  const age = dayOf(now) - dayOf(ms);
  if (age <= 0) return clock.format(ms);
  if (age === 1) return 'Yesterday';
  return age < 7 ? weekday.format(ms) : shortDate.format(ms);
}

/**
 * The beginning of a text that is longer than `units` of UTF-16. The old chat app's may be pictures: to lay out megabytes holds the page
 * up for seconds.
 */
export const beginningOf = (text: string, units: number): string =>
  text.length > units ? `${text.slice(0, units - 1).replace(/[\ud800-\udbff]$/, '')}…` : text;

export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${count.toLocaleString(english)} ${count === 1 ? one : many}`;
