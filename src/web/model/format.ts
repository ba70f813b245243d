const ENGLISH = 'en-GB';

/** The language that a browser names, if it is one: on a Linux without any, Chromium names `en-US@posix`, and formats throw at it. */
export function languageOf(name: string): string {
  try {
    return Intl.getCanonicalLocales(name)[0] ?? ENGLISH;
  } catch {
    return ENGLISH;
  }
}

/** Words are English, like the app. The order of day and month, and the clock, follow the reader's settings. */
const reader = languageOf(navigator.language);
const english = /^en\b/.test(reader) ? reader : ENGLISH;

const clock = new Intl.DateTimeFormat(reader, { hour: '2-digit', minute: '2-digit' });
const weekday = new Intl.DateTimeFormat(english, { weekday: 'long' });
const dayAndMonth = new Intl.DateTimeFormat(english, { weekday: 'long', day: 'numeric', month: 'long' });
const fullDate = new Intl.DateTimeFormat(english, { day: 'numeric', month: 'long', year: 'numeric' });
const shortDate = new Intl.DateTimeFormat(reader, { day: '2-digit', month: '2-digit', year: '2-digit' });
const fullTime = new Intl.DateTimeFormat(english, { dateStyle: 'full', timeStyle: 'short' });

const parsed = new WeakMap<object, number>();

/** Milliseconds since 1970 of a message's `timestamp`, which is in UTC without a time zone. */
export function timeOf(message: { readonly timestamp: string }): number {
  let ms = parsed.get(message);
  if (ms === undefined) {
    ms = Date.parse(`${message.timestamp.replace(' ', 'T')}Z`);
    // An invalid one must not break the whole screen.
    if (Number.isNaN(ms)) ms = 0;
    parsed.set(message, ms);
  }
  return ms;
}

/** The last day asked for. Rows are formatted in order, with thousands of one day. */
let lastDay = { number: 0, from: 0, upto: 0 };

/** A day number: the same for two times of one local day, and one more for the next day. */
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

/** The label of the line between two days. */
export function dayLabel(ms: number, now: number): string {
  const age = dayOf(now) - dayOf(ms);
  if (age === 0) return 'Today';
  if (age === 1) return 'Yesterday';
  if (age > 1 && age < 7) return weekday.format(ms);
  const sameYear = new Date(ms).getFullYear() === new Date(now).getFullYear();
  return (sameYear ? dayAndMonth : fullDate).format(ms);
}

/** The time in the conversation list, as short as possible. */
export function listTime(ms: number, now: number): string {
  const age = dayOf(now) - dayOf(ms);
  if (age <= 0) return clock.format(ms);
  if (age === 1) return 'Yesterday';
  return age < 7 ? weekday.format(ms) : shortDate.format(ms);
}

/** How a user is called on the screen. The old chat app kept messages from and to nobody, whose id is empty. */
export const nameOf = (user: string): string => (user === '' ? '(no\u00a0name)' : user);

/** A text, cut off after `units` UTF-16 units. The old chat app's may be pictures, and laying out megabytes blocks the page for seconds. */
export const beginningOf = (text: string, units: number): string =>
  text.length > units ? `${text.slice(0, units - 1).replace(/[\ud800-\udbff]$/, '')}…` : text;

export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${count.toLocaleString(english)} ${count === 1 ? one : many}`;
