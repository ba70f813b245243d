import { Component, type ReactNode } from 'react';

type Props = { readonly children: ReactNode };

/** Around the whole app: without it, an exception while rendering leaves a blank page. React writes the error to the console. */
export class ErrorBoundary extends Component<Props, { readonly broken: boolean }> {
  override state = { broken: false };

  static getDerivedStateFromError(): { readonly broken: boolean } {
    return { broken: true };
  }

  override render(): ReactNode {
    if (!this.state.broken) return this.props.children;
    return (
      <main className="broken">
        <div role="alert">
          <h1>This page can’t go on</h1>
          <p>
            An error in the app has stopped it. Nothing that was sent is lost. If loading the page again does
            not help, tell those who run this server: the browser’s console has the details.
          </p>
        </div>
        <button type="button" className="button button-primary" onClick={() => location.reload()}>
          Load the page again
        </button>
      </main>
    );
  }
}
