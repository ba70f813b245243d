/*
 * Reloads a page whose parts are from another build: the files were rebuilt under a running server, or two nodes have different
 * versions during an upgrade. This file keeps its name and loads before those parts, whose names change with each build.
 */
const PAUSE_MS = 5_000;

const again = async () => {
  const there = await fetch('./', { method: 'HEAD', cache: 'no-store' }).catch(() => null);
  if (there?.ok) location.reload();
  else setTimeout(again, PAUSE_MS);
};

/** The page works without its icon and its manifest. */
const isPart = (it) =>
  it instanceof HTMLScriptElement || (it instanceof HTMLLinkElement && it.rel === 'stylesheet');

addEventListener(
  'error',
  ({ target }) => {
    if (isPart(target)) setTimeout(again, PAUSE_MS);
  },
  true,
);
