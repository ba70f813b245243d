import path from 'node:path';
import type { BackupResult } from '../cluster/messages.ts';
import { sameFile } from '../db/files.ts';

export type BackupMade = { readonly pages: number; readonly database: string };

/** The back-ups that the node's writer has been asked for, and has not made yet. */
export class Backups {
  readonly #database: string;
  readonly #order: (file: string) => void;
  readonly #underWay = new Map<string, (result: BackupResult) => void>();

  /**
   * @param database path of the file that the writer writes
   * @param order tells the writer
   */
  constructor(database: string, order: (file: string) => void) {
    this.#database = database;
    this.#order = order;
  }

  /**
   * @param file path of the copy to be
   * @param meant the database that the caller takes to be this node's; undefined: whichever it is
   * @throws Error with words for the one who asked
   */
  async make(file: string, meant: string | undefined): Promise<BackupMade> {
    const database = this.#database;
    if (meant !== undefined && path.resolve(meant) !== database && !sameFile(meant, database))
      throw new Error(`this server writes ${database}, not ${meant}: set ADMIN_PORT to that one's server`);
    if (this.#underWay.has(file)) throw new Error('it is under way already');
    const made = new Promise<number>((resolve, reject) => {
      this.#underWay.set(file, ({ pages, error }) =>
        pages === undefined ? reject(new Error(error)) : resolve(pages),
      );
      this.#order(file);
    });
    return { pages: await made.finally(() => this.#underWay.delete(file)), database };
  }

  heard(result: BackupResult): void {
    this.#underWay.get(result.file)?.(result);
  }

  /** The next writer knows nothing of what this one was asked for. */
  writerEnded(): void {
    for (const [file, answer] of this.#underWay)
      answer({ file, error: `the writer ended before ${file} was whole: ask again in a few seconds` });
  }
}
