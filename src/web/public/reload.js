/*
 * For a page of one build whose parts are of another: the files were built again under a running server, or two nodes are at
 * different versions during an upgrade. It has a name that stays, and comes before those parts, whose names do not.
 */
const PAUSE_MS = 5_000;

const again = async () => {
  const there = await fetch('./', { method: 'HEAD', cache: 'no-store' }).catch(() => null);
  if (there?.ok) location.reload();
  else setTimeout(again, PAUSE_MS);
};

/** The page lives without its icon, and without its manifest. */
const isPart = (it) =>
  it instanceof HTMLScriptElement || (it instanceof HTMLLinkElement && it.rel === 'stylesheet');

addEventListener(
  'error',
  ({ target }) => {
    if (isPart(target)) setTimeout(again, PAUSE_MS);
  },
  true,
);
