import './base.css';
import './bond.css';
import './proposals.css';
