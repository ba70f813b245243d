import { useState } from 'react';
import { preferences, setPreferences } from '../model/preferences.ts';
import { isTouch, useListenable } from './hooks.ts';
import { BellIcon, CloseIcon } from './icons.tsx';

/** Phone browsers have the interface, but throw when a page uses it. */
export const notificationsWork = (): boolean => 'Notification' in window && !isTouch();

type NotificationOfferProps = {
  /** The focused button is about to disappear. */
  readonly onLeave: () => void;
};

/** Offered once, quietly. The browser's own question comes only after a yes. */
export function NotificationOffer({ onLeave }: NotificationOfferProps) {
  const { notificationsDeclined } = useListenable(preferences);
  const [asked, setAsked] = useState(false);
  if (asked || notificationsDeclined || !notificationsWork() || Notification.permission !== 'default')
    return null;
  const accept = async () => {
    await Notification.requestPermission();
    onLeave();
    setAsked(true);
  };
  return (
    <div className="offer">
      <button type="button" className="offer-accept" onClick={accept}>
        <BellIcon size={18} />
        <span>Turn on notifications</span>
      </button>
      <button
        type="button"
        className="icon-button"
        aria-label="No notifications"
        onClick={() => {
          onLeave();
          setPreferences({ notificationsDeclined: true });
        }}
      >
        <CloseIcon size={18} />
      </button>
    </div>
  );
}
