import { type Config, ConfigError, readConfig } from '../config/config.ts';
import { fail } from './fail.ts';

/** The settings; ends the process if they are wrong, with all that is. */
export function readConfigOrFail(environment: NodeJS.ProcessEnv): Config {
  try {
    return readConfig(environment);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    fail(...error.problems);
  }
}
