/*
 * For a page of one build whose parts are of another: the files were built again under a running server, or two nodes are at
 * different versions during an upgrade. It has a name that stays, and comes before those parts, whose names do not.
 */
const PAUSE_MS = 5_000;

const again = async () => {
  const there = await fetch('/', { method: 'HEAD', cache: 'no-store' }).catch(() => null);
  if (there?.ok) location.reload();
  else setTimeout(again, PAUSE_MS);
};

addEventListener(
  'error',
  ({ target }) => {
    if (target instanceof HTMLScriptElement || target instanceof HTMLLinkElement) setTimeout(again, PAUSE_MS);
  },
  true,
);
