import { existsSync } from 'node:fs';
import path from 'node:path';

/** Where a program is that can be called by its name; undefined if there is none. */
export const findProgram = (name: string): string | undefined =>
  (process.env['PATH'] ?? '')
    .split(path.delimiter)
    .map((folder) => path.join(folder, name))
    .find(existsSync);

/** Browsers that will do, best first. The shell is Chromium without its windows: a page costs half the CPU time. */
export const BROWSERS = ['chromium-headless-shell', 'chromium'] as const;
