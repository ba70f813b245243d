import { execFileSync } from 'node:child_process';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** A small file system in memory, that can be filled up. Needs root on Linux. */
export class Volume {
  readonly directory: string;
  readonly #filler: string;
  #mounted = false;

  constructor(directory: string) {
    this.directory = directory;
    this.#filler = join(directory, 'filler');
  }

  static get available(): boolean {
    return process.platform === 'linux' && process.getuid?.() === 0;
  }

  mount(megabytes: number): void {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=700`, 'tmpfs', this.directory]);
    this.#mounted = true;
  }

  /** Takes all the space that is left. */
  fill(): void {
    const file = openSync(this.#filler, 'a');
    try {
      for (const size of [4 * 1024 * 1024, 64 * 1024, 4 * 1024]) writeUntilFull(file, Buffer.alloc(size, 1));
    } finally {
      closeSync(file);
    }
  }

  free(): void {
    rmSync(this.#filler, { force: true });
  }

  unmount(): void {
    if (!this.#mounted) return;
    // Lazily: a process that was just killed, or a stranger who looks in, may keep it busy for a moment.
    execFileSync('umount', ['--lazy', this.directory]);
    this.#mounted = false;
  }
}

function writeUntilFull(file: number, chunk: Buffer): void {
  try {
    for (;;) if (writeSync(file, chunk) < chunk.length) return;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  }
}
