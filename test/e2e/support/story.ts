import { openForWriting } from '../../../src/db/open.ts';

/*
 * A few days in the life of Nora's team, for the screens: people, conversations on several days, some not read yet.
 */

export const PEOPLE = [
  'Nora',
  'Amelie Laurent',
  'Benjamin',
  'Charlotte Weiss',
  'Dmitri',
  'Elif',
  'Giulia Conti',
  'Haruki',
];

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

type Line = { readonly from: string; readonly to: string; readonly text: string; readonly ago: number };

const between = (
  other: string,
  ago: number,
  lines: readonly (readonly ['me' | 'them', string])[],
  pace = 2,
): Line[] =>
  lines.map(([who, text], i) => ({
    from: who === 'me' ? 'Nora' : other,
    to: who === 'me' ? other : 'Nora',
    text,
    ago: ago - i * pace * MINUTE,
  }));

const LINES: readonly Line[] = [
  ...between('Giulia Conti', 6 * DAY, [
    ['them', 'Grazie mille!'],
    ['me', 'Always'],
  ]),
  ...between('Haruki', 3 * DAY, [
    ['me', 'The keys are at the front desk.'],
    ['them', 'Found them, thanks'],
  ]),
  ...between('Amelie Laurent', DAY + 3 * 60 * MINUTE, [
    ['them', 'Shall we move the review to Thursday? Half of the team is travelling until Wednesday night.'],
    ['me', 'Thursday is fine. Ten o’clock?'],
    ['them', 'Ten it is.'],
  ]),
  ...between('Benjamin', DAY, [
    ['them', 'The offer went out this afternoon'],
    ['me', 'Thank you, that helps a lot'],
  ]),
  ...between(
    'Amelie Laurent',
    50 * MINUTE,
    [
      ['them', 'Did the new build reach the test machines?'],
      ['me', 'Yes, an hour ago. All green so far.'],
      ['them', 'Good. The numbers are here: https://example.org/reports/2026-11, see the second table.'],
      ['them', 'p99 is at 6 ms with everything on, and the memory per connection went down by a third.'],
      ['me', 'Very nice'],
      ['me', 'So we can tell them on Thursday?'],
      [
        'them',
        'I would say so. Let me run the long test once more over night. If nothing turns up by the morning, then yes.',
      ],
      ['me', 'Perfect. I will prepare the slides and send you a draft.'],
      ['them', 'See you on Thursday, then!'],
    ],
    3,
  ),
  ...between(
    'Charlotte Weiss',
    20 * MINUTE,
    [
      ['them', 'Can you have a look at the invoice when you find the time? It is the one from October.'],
      ['me', 'Of course'],
      ['them', 'The amounts in the second column seem to be without tax.'],
      ['them', 'Line 4: delivery, twice.'],
      ['them', 'Line 9: I do not know what that is at all.'],
      ['them', 'Everything else looks right to me.'],
    ],
    1,
  ),
  ...between('Dmitri', 6 * MINUTE, [['them', 'Coffee?']]),
];

/** Writes it, and leaves the last lines of Charlotte and Dmitri unread. */
export function tellStory(path: string): void {
  const db = openForWriting(path);
  const now = Date.now();
  const conversations = new Map<string, number | bigint>();
  const newConversation = db.prepare('INSERT INTO conversations (user_a, user_b) VALUES (?, ?)');
  const member = db.prepare(
    'INSERT INTO members (user_id, conversation_id, peer, read_id) VALUES (?, ?, ?, ?)',
  );
  const message = db.prepare(
    `INSERT INTO messages (conversation_id, sender, receiver, message, timestamp)
     VALUES (?, ?, ?, ?, datetime(?, 'unixepoch'))`,
  );
  const markRead = db.prepare('UPDATE members SET read_id = ? WHERE user_id = ? AND peer = ?');
  db.transaction(() => {
    for (const { from, to, text, ago } of LINES.toSorted((a, b) => b.ago - a.ago)) {
      const other = from === 'Nora' ? to : from;
      let id = conversations.get(other);
      if (id === undefined) {
        id = newConversation.run(...['Nora', other].toSorted()).lastInsertRowid;
        conversations.set(other, id);
        member.run('Nora', id, other, 0);
        member.run(other, id, 'Nora', 0);
      }
      const { lastInsertRowid } = message.run(id, from, to, text, Math.floor((now - ago) / 1_000));
      const unread = other === 'Dmitri' || (other === 'Charlotte Weiss' && ago < 19 * MINUTE);
      if (!unread) markRead.run(lastInsertRowid, 'Nora', other);
      markRead.run(lastInsertRowid, other, 'Nora');
    }
  })();
  db.close();
}
