import { memo, useState } from 'react';
import { LIMITS } from '../../contract/limits.ts';
import { beginningOf, clockTime, dayLabel, nameOf, plural, spokenTime } from '../model/format.ts';
import { segments } from '../model/links.ts';
import type { Delivery, Row } from '../model/timeline.ts';
import { AlertIcon, ClockIcon, ReadIcon, SentIcon } from './icons.tsx';

type MessageRowProps = {
  readonly row: Row;
  readonly peer: string;
  readonly now: number;
  /** Nothing comes before it. */
  readonly beginning: boolean;
  readonly onRetry: (clientId: string) => void;
  readonly onDiscard: (clientId: string) => void;
};

export const MessageRow = memo(
  function MessageRow({ row, peer, now, beginning, onRetry, onDiscard }: MessageRowProps) {
    const { own, at, delivery } = row;
    return (
      <div className="row">
        {beginning && (
          <p className="row-beginning">
            The beginning of your conversation with <bdi>{nameOf(peer)}</bdi>
          </p>
        )}
        {row.newDay && (
          <p className="row-day">
            <span>{dayLabel(at, now)}</span>
          </p>
        )}
        {row.newMark && (
          <p className="row-new">
            <span>New messages</span>
          </p>
        )}
        <div className={bubbleClass(row)}>
          <span className="unseen">{own ? 'You: ' : `${nameOf(peer)}: `}</span>
          <span className="bubble-text" dir="auto">
            {row.text.length > LIMITS.messageUnits ? <LongText text={row.text} /> : <Text text={row.text} />}
          </span>
          <span className="bubble-meta">
            <time dateTime={new Date(at).toISOString()} title={spokenTime(at)}>
              {clockTime(at)}
            </time>
            <DeliveryMark delivery={delivery} />
          </span>
        </div>
        {delivery.status === 'failed' && (
          <p className="row-failed">
            <span>Not sent. {delivery.error}</span>
            <button type="button" className="link-button" onClick={() => onRetry(delivery.clientId)}>
              Try again
            </button>
            <button type="button" className="link-button" onClick={() => onDiscard(delivery.clientId)}>
              Delete
            </button>
          </p>
        )}
      </div>
    );
  },
  (a, b) => a.beginning === b.beginning && a.now === b.now && a.peer === b.peer && sameRow(a.row, b.row),
);

/** Rows are recreated with each message, but what they show rarely changes. */
function sameRow(a: Row, b: Row): boolean {
  return (
    a === b ||
    (a.key === b.key &&
      a.text === b.text &&
      a.at === b.at &&
      a.delivery.status === b.delivery.status &&
      a.newDay === b.newDay &&
      a.newMark === b.newMark &&
      a.groupStart === b.groupStart &&
      a.groupEnd === b.groupEnd)
  );
}

function bubbleClass({ own, groupStart, groupEnd, delivery }: Row): string {
  const classes = ['bubble', own ? 'is-own' : 'is-theirs'];
  if (groupStart) classes.push('group-start');
  if (groupEnd) classes.push('group-end');
  if (delivery.status === 'failed') classes.push('is-failed');
  return classes.join(' ');
}

/** A text that is longer than today's limit. */
function LongText({ text }: { readonly text: string }) {
  const [whole, setWhole] = useState(false);
  if (whole) return <Text text={text} />;
  return (
    <>
      <Text text={beginningOf(text, LIMITS.messageUnits)} />{' '}
      <button type="button" className="link-button" onClick={() => setWhole(true)}>
        Show all {plural(text.length, 'character')}
      </button>
    </>
  );
}

function Text({ text }: { readonly text: string }) {
  return segments(text).map((segment, i) =>
    segment.kind === 'text' ? (
      segment.text
    ) : (
      // biome-ignore lint/suspicious/noArrayIndexKey: a text never changes, and neither does the order of its parts.
      <a key={i} href={segment.href} target="_blank" rel="noopener noreferrer nofollow ugc">
        {segment.text}
      </a>
    ),
  );
}

const WORDS = { sending: 'Sending', sent: 'Sent', read: 'Read', failed: 'Not sent' } as const;
const ICONS = { sending: ClockIcon, sent: SentIcon, read: ReadIcon, failed: AlertIcon } as const;

function DeliveryMark({ delivery: { status } }: { readonly delivery: Delivery }) {
  if (status === 'received') return null;
  const Icon = ICONS[status];
  return (
    <span className={`delivery is-${status}`} title={WORDS[status]}>
      <Icon size={15} />
      <span className="unseen">{WORDS[status]}</span>
    </span>
  );
}
