import { fileURLToPath } from 'node:url';
import type { UserConfig } from 'vite';
import { precompress } from './precompress.ts';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** The web app, served by the gateways at `/`, or wherever a proxy has that. `npm run build` builds it. */
const config: UserConfig = {
  root: here('.'),
  base: './',
  plugins: [precompress()],
  build: {
    target: 'es2024',
    outDir: here('../../dist/web'),
    emptyOutDir: true,
    // The content security policy allows `data:` for images only. And a small file can be cached by its hash, too.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      onwarn(warning, warn) {
        // virtua's "use client" is for servers that render React. There is none here.
        if (warning.code !== 'MODULE_LEVEL_DIRECTIVE') warn(warning);
      },
    },
  },
};

// biome-ignore lint/style/noDefaultExport: Vite reads the default export.
export default config;
