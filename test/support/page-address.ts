/** Where the page of the web app is, for its modules that look for it as they load: to be imported before them. */
Object.assign(globalThis, { location: new URL('http://chat.test/') });
