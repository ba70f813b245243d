import { useId } from 'react';
import type { ChatStore } from '../model/chat-store.ts';
import { hrefOf } from '../model/route.ts';
import { Avatar } from './avatar.tsx';
import { usePart } from './hooks.ts';

type PersonListProps = {
  readonly title: string;
  readonly people: readonly string[];
  readonly store: ChatStore;
  readonly open: string | null;
  readonly onChosen?: () => void;
};

export function PersonList({ title, people, store, open, onChosen }: PersonListProps) {
  const id = useId();
  const online = usePart(store.state, (state) => state.online);
  const { me } = store.state.value;
  return (
    <>
      <h2 className="list-title" id={id}>
        {title}
      </h2>
      <ul aria-labelledby={id}>
        {people.map((person) => (
          <li key={person}>
            <a
              className="item item-person"
              href={hrefOf(person)}
              aria-current={person === open ? 'page' : undefined}
              onClick={onChosen}
            >
              <Avatar name={person} size="small" online={online.has(person)} />
              <span className="item-name">
                <bdi>{person}</bdi>
                {person === me && <span className="item-you"> (you)</span>}
              </span>
            </a>
          </li>
        ))}
      </ul>
    </>
  );
}
