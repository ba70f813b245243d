/** Where the app was opened, and the server is: `https://chat.example.org/`, or the path there that a proxy has it under. */
export const SITE = new URL('.', location.href);

/** As people pass it on: an origin has no slash at its end. */
export const ADDRESS = SITE.pathname === '/' ? SITE.origin : SITE.href;

const PREFIX = SITE.pathname === '/' ? 'parley:' : `parley:${SITE.pathname}:`;

/** A name for what browsers keep for all of an origin, where each path may have an app of its own. */
export const nameHere = (name: string): string => PREFIX + name;
