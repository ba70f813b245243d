import path from 'node:path';
import type { BackupResult } from '../cluster/messages.ts';
import { sameFile } from '../db/files.ts';

export type BackupMade = { readonly pages: number; readonly database: string };

/** The back-ups that were requested from the node's writer, and are not finished. */
export class Backups {
  readonly #database: string;
  readonly #order: (file: string) => void;
  readonly #underWay = new Map<string, (result: BackupResult) => void>();

  /**
   * @param database path of the writer's file
   * @param order tells the writer
   */
  constructor(database: string, order: (file: string) => void) {
    this.#database = database;
    this.#order = order;
  }

  /**
   * @param file path for the copy
   * @param meant the database that the caller believes is this node's; undefined: whichever it is
   * @throws Error with words for the caller
   */
  async make(file: string, meant: string | undefined): Promise<BackupMade> {
    const database = this.#database;
    if (meant !== undefined && path.resolve(meant) !== database && !sameFile(meant, database))
      throw new Error(`this server writes ${database}, not ${meant}: set ADMIN_PORT to that one's server`);
    for (const other of this.#underWay.keys())
      if (samePlace(file, other)) throw new Error('it is under way already');
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

  /** The next writer does not know what this one was asked for. */
  writerEnded(): void {
    for (const [file, answer] of this.#underWay)
      answer({ file, error: `the writer ended before ${file} was whole: ask again in a few seconds` });
  }
}

/** Whether two paths name one file, which may not exist yet: its folder can have several, through links. */
const samePlace = (one: string, other: string): boolean =>
  one === other ||
  (path.basename(one) === path.basename(other) && sameFile(path.dirname(one), path.dirname(other)));
