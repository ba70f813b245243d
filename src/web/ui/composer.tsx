import { type FormEvent, type KeyboardEvent, type RefObject, useLayoutEffect, useState } from 'react';
import { LIMITS } from '../../contract/limits.ts';
import { draftOf, keepDraft } from '../model/drafts.ts';
import { nameOf, plural } from '../model/format.ts';
import { isComposing, isTouch } from './hooks.ts';
import { SendIcon } from './icons.tsx';

/** From this length on, the remaining space is shown. */
const COUNT_FROM = LIMITS.messageUnits - 500;

type ComposerProps = {
  readonly input: RefObject<HTMLTextAreaElement | null>;
  readonly me: string;
  readonly peer: string;
  /** @returns whether the message was accepted; if not, it stays in the field */
  readonly onSend: (text: string) => Promise<boolean>;
  readonly onTyping: () => void;
};

export function Composer({ input, me, peer, onSend, onTyping }: ComposerProps) {
  const [text, setText] = useState(() => draftOf(me, peer));

  useLayoutEffect(() => {
    const field = input.current;
    // For browsers that don't fit the field to its text themselves.
    if (field === null || CSS.supports('field-sizing', 'content')) return;
    field.style.height = 'auto';
    field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
  });

  const change = (next: string) => {
    setText(next);
    keepDraft(me, peer, next);
  };

  const trimmed = text.trim();
  const left = LIMITS.messageUnits - trimmed.length;
  const ready = trimmed !== '' && left >= 0;

  const send = async (event?: FormEvent) => {
    event?.preventDefault();
    input.current?.focus();
    if (!ready) return;
    change('');
    if (!(await onSend(trimmed.toWellFormed()))) change(text);
  };

  const onKeyDown = (event: KeyboardEvent) => {
    // An Enter that ends a composition does not send.
    if (event.key !== 'Enter' || event.shiftKey || isComposing(event) || isTouch()) return;
    event.preventDefault();
    void send();
  };

  return (
    <form className="composer" onSubmit={send}>
      <textarea
        ref={input}
        rows={1}
        dir="auto"
        placeholder="Write a message"
        aria-label={`Message to ${nameOf(peer)}`}
        aria-describedby={text.length > COUNT_FROM ? 'composer-left' : undefined}
        enterKeyHint={isTouch() ? 'enter' : 'send'}
        value={text}
        onChange={(event) => {
          change(event.target.value);
          if (event.target.value.trim() !== '') onTyping();
        }}
        onKeyDown={onKeyDown}
      />
      {text.length > COUNT_FROM && (
        <span
          id="composer-left"
          className={left < 0 ? 'composer-left is-over' : 'composer-left'}
          role="status"
        >
          {left >= 0 ? `${plural(left, 'character')} left` : `${plural(-left, 'character')} too long`}
        </span>
      )}
      <button type="submit" className="send" aria-label="Send" aria-disabled={!ready}>
        <SendIcon size={20} />
      </button>
    </form>
  );
}
