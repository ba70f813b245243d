/** The app's address, which is the server's: `https://chat.example.org/`, or the path under which a proxy has it. */
export const SITE = new URL('.', location.href);

/** The address as people share it: an origin has no slash at its end. */
export const ADDRESS = SITE.pathname === '/' ? SITE.origin : SITE.href;

const PREFIX = SITE.pathname === '/' ? 'parley:' : `parley:${SITE.pathname}:`;

/** A name for what a browser stores per origin, where each path may have its own app. */
export const nameHere = (name: string): string => PREFIX + name;
