import { type Config, ConfigError, readConfig } from '../config/config.ts';
import { fail } from './fail.ts';

/** The settings. If they are wrong, ends the process and names every problem. */
export function readConfigOrFail(environment: NodeJS.ProcessEnv): Config {
  try {
    return readConfig(environment);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    fail(...error.problems);
  }
}
